"""Declarations of hyperparameters, and the one place that checks values against them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import crystalbench.models
from crystalbench import plugins
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import CGCNN, SEN, DeepKNet, OneOf, get_model, model_names, search_space
from crystalbench.models.hyperparameters import Configurable, Hyperparameter, hyperparameter_types, hyperparameters
from crystalbench.models.registry import GROUP, RETIRED


@dataclass
class Example(Configurable):
    fixed: ClassVar[int] = 3

    size: Annotated[int, Ge(2), IntDistribution(2, 9)] = 4
    rate: Annotated[float, Interval(gt=0, le=1), FloatDistribution(0.1, 1.0)] = 0.5
    share: Annotated[float, Ge(0), Lt(1)] = 0.0
    limit: Annotated[float | None, Gt(0)] = None
    optional: Annotated[int, Ge(1)] | None = None
    even: Annotated[int, Le(8), MultipleOf(2)] = 4
    colour: Annotated[str, OneOf(("red", "green")), CategoricalDistribution(("red",)), "metadata of others"] = "red"
    mode: Literal["fast", "slow"] = "fast"
    flag: bool = True
    free: str = ""
    derived: int = dataclasses.field(default=0, init=False)


def test_a_declaration_has_type_valid_values_and_search_space() -> None:
    declared = hyperparameters(Example)
    assert list(declared) == ["size", "rate", "share", "limit", "optional", "even", "colour", "mode", "flag", "free"]
    assert declared["size"] == Hyperparameter("size", int, (Ge(2),), IntDistribution(2, 9))
    assert {name: d.valid for name, d in declared.items()} == {
        "size": "at least 2",
        "rate": "in (0, 1]",
        "share": "in [0, 1)",
        "limit": "greater than 0",
        "optional": "at least 1",
        "even": "at most 8 and a multiple of 2",
        "colour": "one of red, green",
        "mode": "one of fast, slow",
        "flag": "",
        "free": "",
    }
    assert list(search_space(Example)) == ["size", "rate", "colour"]
    assert hyperparameter_types(Example)["rate"] is float


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"size": 1}, "Example: size = 1; it must be at least 2"),
    ({"size": "4"}, "Example: size = '4'; it must be an integer"),
    ({"size": 4.0}, "Example: size = 4.0; it must be an integer"),
    ({"size": True}, "Example: size = True; it must be an integer"),
    ({"size": None}, "Example: size = None; it must be an integer"),
    ({"rate": 0}, "Example: rate = 0; it must be in (0, 1]"),
    ({"rate": 1.5}, "Example: rate = 1.5; it must be in (0, 1]"),
    ({"rate": float("nan")}, "Example: rate = nan; it must be a finite number"),
    ({"share": 1.0}, "Example: share = 1.0; it must be in [0, 1)"),
    ({"limit": 0.0}, "Example: limit = 0.0; it must be greater than 0"),
    ({"limit": float("inf")}, "Example: limit = inf; it must be a finite number"),
    ({"optional": 0}, "Example: optional = 0; it must be at least 1"),
    ({"optional": 1.0}, "Example: optional = 1.0; it must be an integer or None"),
    ({"even": 3}, "Example: even = 3; it must be at most 8 and a multiple of 2"),
    ({"even": 10}, "Example: even = 10; it must be at most 8 and a multiple of 2"),
    ({"colour": "blue"}, "Example: colour = 'blue'; it must be one of red, green"),
    ({"colour": "gren"}, "Example: colour = 'gren'; it must be one of red, green. Did you mean 'green'?"),
    ({"colour": 3}, "Example: colour = 3; it must be a string"),
    ({"mode": "medium"}, "Example: mode = 'medium'; it must be one of fast, slow"),
    ({"mode": 1}, "Example: mode = 1; it must be a string"),
    ({"flag": 1}, "Example: flag = 1; it must be a boolean"),
]


@pytest.mark.parametrize("make", [Example.from_configuration, lambda options: Example(**options)], ids=["from", "init"])
@pytest.mark.parametrize(("parameters", "message"), REFUSED, ids=str)
def test_invalid_values_are_refused_however_the_instance_is_made(
    make: Any, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(parameters)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "parameters",
    [
        {"size": 2},
        {"rate": 1},
        {"share": 0.0},
        {"limit": None},
        {"limit": 2},
        {"optional": None},
        {"even": 8},
        {"free": "anything"},
    ],
    ids=str,
)
def test_valid_values_are_accepted(parameters: dict[str, Any]) -> None:
    assert Example(**parameters) == Example.from_configuration(parameters)


def test_a_whole_number_for_a_float_becomes_a_float() -> None:
    for made in (Example(rate=1), Example.from_configuration({"rate": 1})):
        assert type(made.rate) is float
        assert type(made.configuration()["rate"]) is float


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"hyperparameter of Example 'sise'\. Did you mean 'size'"):
        Example.from_configuration({"sise": 3})


def test_a_subclass_that_changes_a_default_keeps_the_valid_values_and_not_the_search_space() -> None:
    @dataclass
    class Larger(Example):
        size: int = 8
        rate: Annotated[float, Gt(0)] = 3.0

    with pytest.raises(ConfigError, match="Larger: size = 1; it must be at least 2"):
        Larger(size=1)
    assert Larger(rate=7.0).rate == 7.0
    assert list(search_space(Larger)) == ["colour"]


def test_a_subclass_with_its_own_post_init_is_checked_when_made_from_a_configuration() -> None:
    @dataclass
    class Own(Example):
        def __post_init__(self) -> None:
            self.derived = 1

    with pytest.raises(ConfigError, match="size"):
        Own.from_configuration({"size": 0})


def test_frozen_dataclasses_can_be_configurable() -> None:
    @dataclass(frozen=True)
    class Frozen(Configurable):
        rate: Annotated[float, Gt(0)] = 1.0

    assert type(Frozen(rate=2).rate) is float


@pytest.mark.parametrize("name", model_names())
def test_every_default_is_valid_and_every_numeric_hyperparameter_has_bounds(name: str) -> None:
    model = get_model(name)
    assert model.from_configuration(model().configuration()) == model()
    for declared in hyperparameters(model).values():
        checked = declared.type is bool or declared.name == "members"  # of a stack, which reads the text
        assert declared.valid or checked, f"{name}: {declared.name} has no valid values"


def test_the_constructors_of_models_check_as_well() -> None:
    with pytest.raises(ConfigError, match="cgcnn: width = '64'; it must be an integer"):
        CGCNN(width="64")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"cgcnn: dropout = 1\.5; it must be in \[0, 1\)"):
        CGCNN(dropout=1.5)
    with pytest.raises(ConfigError, match="sen: epochs = 0; it must be at least 1"):
        SEN(epochs=0)
    assert np.isclose(DeepKNet(symprec=1).symprec, 1.0)


# ---------------------------------------------------------------------- public names


def test_every_registered_class_can_be_imported_from_the_package() -> None:
    for name, entry in plugins.registered(GROUP).items():
        if entry.module.startswith("crystalbench."):
            assert getattr(crystalbench.models, entry.attr) is get_model(name)
            assert {entry.attr} <= set(crystalbench.models.__all__) & set(dir(crystalbench.models))
    with pytest.raises(ImportError, match="CGNN"):
        from crystalbench.models import CGNN  # type: ignore[attr-defined]  # noqa: F401


def test_every_public_name_exists() -> None:
    assert all(hasattr(crystalbench.models, name) for name in crystalbench.models.__all__)


def test_importing_the_package_does_not_import_the_models() -> None:
    script = (
        "import sys, crystalbench.models as models\n"
        "heavy = {'torch', 'sklearn', 'lightgbm', 'e3nn', 'matminer'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "models.Dummy\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "models.CGCNN\n"
        "print('torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[]", "[]", "True"]


def test_messages_have_the_registered_name_of_a_model() -> None:
    potential = get_model("potential")  # the class is ZeroShot
    with pytest.raises(ConfigError, match=r"^potential: columns = 3; it must be a string$"):
        potential.from_configuration({"columns": 3})
    with pytest.raises(ConfigError, match=r"^potential: columns = 'all'; it must be one of"):
        potential(columns="all")
    with pytest.raises(UnknownNameError, match="hyperparameter of potential 'column'"):
        potential.from_configuration({"column": "cell"})


@pytest.mark.parametrize("name", RETIRED)
def test_a_retired_name_says_what_replaced_it(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        get_model(name)
    successors = [known for known in model_names() if known in RETIRED[name]]
    assert successors and all(successor in str(caught.value) for successor in successors)
