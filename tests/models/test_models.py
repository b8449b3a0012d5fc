"""The contract of models, applied to every registered model, so a new one is tested as soon as it is registered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import QUICK, SPRINGS, changed, random_crystals, samples_of, single_atoms

from crystalbench.data.elements import MAX_Z
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import Needs, get_model, model_names
from crystalbench.models.network import NetworkModel
from crystalbench.targets import Kind
from crystalbench.testing import check_model
from crystalbench.testing._model_case import ModelCase

VARIANTS: list[Any] = [
    ("cgcnn", {"readout": "sum"}),
    ("composition_forest", {"features": "magpie+fractions+matscholar"}),
    ("composition_stack", {"members": "magpie_forest(trees=10) + dummy", "combination": "median"}),
    ("cgcnn", {"epochs": 20, "stopping": "best", "patience": 1, "averaging": 0.0, "learning_rate": 0.3}),
    ("descriptor_forest", {"bank": "gong28+magpie"}),
    ("diffraction_grid", {"scattering": "equal"}),
    ("hybrid", {"readout": "sum"}),
    pytest.param("hybrid_potential", {"potential": SPRINGS}, marks=pytest.mark.slow),  # all columns of the default
    ("sen", {"readout": "sum"}),
]
CASES = [*((name, QUICK.get(name, {})) for name in model_names()), *VARIANTS]


def named(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value.values())) or "default"


def case_of(name: str) -> ModelCase:
    """A model as the contract creates it, small and fast."""
    return ModelCase(get_model(name), QUICK.get(name, {}))


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=named)
def test_it_keeps_the_contract(name: str, parameters: dict[str, Any]) -> None:
    report = check_model(name, **parameters)
    assert bool(report.notes) == (name == "dummy")  # only a constant model leaves a note
    promised = {str(invariance) for invariance in get_model(name)(**parameters).invariances}
    assert promised.isdisjoint(report.drifts)


def test_the_models_of_the_first_release_are_registered() -> None:
    assert {"cgcnn", "descriptor_forest", "diffraction_spectrum", "dummy", "magpie_forest"} <= set(model_names())


def test_models_declare_on_which_tasks_their_defaults_were_chosen() -> None:
    both = {"matbench_phonons", "matbench_jdft2d"}
    for name in model_names():
        model = get_model(name)
        if name == "potential":
            assert not model.defaults_chosen_on
        elif name.startswith("composition_"):
            assert model.defaults_chosen_on == both | {"matbench_steels", "matbench_expt_gap"}, name
        elif issubclass(model, NetworkModel) or name in ("stack", "potential_forest") or name.startswith("descriptor_"):
            assert model.defaults_chosen_on == both, name
        else:
            assert model.defaults_chosen_on == (set() if name == "dummy" else both | {"matbench_steels"}), name


@pytest.mark.parametrize("name", model_names())
def test_every_element_is_predicted(name: str) -> None:
    """The contract stops at lawrencium, since the tables of others may; the models of this package go on to Z = 118."""
    assert np.isfinite(case_of(name).values(single_atoms(MAX_Z))).sum() == 118


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=named)
def test_predicting_no_rows_gives_no_predictions(name: str, parameters: dict[str, Any]) -> None:
    model = ModelCase(get_model(name), parameters).fit(Kind.REGRESSION)
    assert model.predict(samples_of(random_crystals(0, 3))[:0].to_predict()).values.shape == (0,)


def test_polymorphs_differ_only_for_models_that_need_structures() -> None:
    """Invariance is not trivial: other positions of the same atoms change the predictions."""
    one = random_crystals(5, 7)
    other = changed(one, frac_coords=one.frac_coords**2)
    for name in model_names():
        case = case_of(name)
        same = np.array_equal(case.values(one), case.values(other))
        assert same == (get_model(name).needs is Needs.COMPOSITION), name


def test_the_contract_needs_neither_torch_nor_a_test_runner() -> None:
    script = (
        "import sys; sys.modules['pytest'] = sys.modules['helpers'] = None\n"
        "from crystalbench.testing import check_model\n"
        "print(len(check_model('dummy').passed), 'torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(len(check_model("dummy").passed)), "False"]
    assert not ran.stderr


# ---------------------------------------------------------------------- finding models


def test_unknown_models_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown model 'cgcn'\. Did you mean 'cgcnn'"):
        get_model("cgcn")


def test_objects_that_are_not_models_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "things.py"
    file.write_text(
        "from crystalbench.models import Model, Needs\n"
        "number = 3\n"
        "class Half(Model):\n"
        "    needs = Needs.COMPOSITION\n"
        "    def fit(self, train, valid):\n"
        "        return self\n"
        "class Mute(Half):\n"
        "    needs = None\n"
        "    def predict(self, samples):\n"
        "        return None\n"
    )
    with pytest.raises(ConfigError, match=r"is 3; it must be a subclass of crystalbench\.models\.Model"):
        get_model(f"{file}:number")
    with pytest.raises(ConfigError, match="does not define predict"):
        get_model(f"{file}:Half")
    with pytest.raises(ConfigError, match="must say what it needs"):
        get_model(f"{file}:Mute")
    assert get_model("crystalbench.models.dummy:Dummy") is get_model("dummy")
