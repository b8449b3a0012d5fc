"""`check_model` finds what is wrong with small models that fail one check each, and names the check."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pytest
from broken_models import ALSO, FAILING, FITS, REGRESSION, Counts, GlobalDice, Plain, failed_checks
from optuna.distributions import CategoricalDistribution, IntDistribution

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.models import Invariance, Model, Needs
from crystalbench.targets import Kind
from crystalbench.testing import ContractError, check_model


def test_the_report_of_a_model_that_passes() -> None:
    report = check_model(Plain)
    assert report.name == "Plain"
    assert "same seed, same result" in report.passed
    assert "rotation has no influence, as declared" in report.passed
    assert len(report.passed) == len(set(report.passed)) == 27
    assert list(report.groups) == ["class", "fitting and prediction", "symmetry", "saving"]
    assert not report.drifts
    assert not report.notes
    text = str(report)
    assert text.startswith("Plain passes 27 checks\n")
    assert all(title in " ".join(text.split()) for title in report.passed)
    assert len(text.splitlines()) < 20
    assert report._repr_html_().count("<li>") == 4


@pytest.mark.parametrize(("model", "check", "reason"), FAILING, ids=[entry[0].__name__ for entry in FAILING])
def test_only_the_failed_check_is_named(model: type[Model], check: str, reason: str) -> None:
    failed = failed_checks(model)
    assert list(failed) == [check, *ALSO.get(model, [])]
    assert reason in next(iter(failed.values()))


def test_every_check_has_a_model_that_fails_it() -> None:
    covered = {check for _, check, _ in FAILING} | set(DECLARATIONS) | {FITS}
    assert covered == set(check_model(Plain).passed)


# ---------------------------------------------------------------------- declarations


DECLARATIONS = {
    "needs, kinds, version and invariances are valid": "needs must be",
    "class and hyperparameters are documented": "the docstring lacks depth",
    "defaults exist and lie in the search space": "depth = 7 is not in",
    "bounds and choices of the search space are accepted": "depth = 'none' is in the search space, but is refused",
    "configuration is plain and complete": "depth = (1, 2) is a tuple",
    "wrong hyperparameters are refused": "is accepted",
}


def classes() -> dict[str, type[Model]]:
    """A class that fails each check of `DECLARATIONS`, by check."""

    class Needy(Plain):
        """Needs something that does not exist."""

        needs = "everything"  # type: ignore[assignment]

    @dataclass
    class Silent(Plain):
        """Does not document its depth."""

        depth: int = 7

    @dataclass
    class Elsewhere(Plain):
        """Its default is outside of its search space.

        Attributes:
            depth: of it.
        """

        depth: Annotated[int, IntDistribution(1, 5)] = 7

    @dataclass
    class Refuses(Plain):
        """Refuses a choice of its search space.

        Attributes:
            depth: of it.
        """

        depth: Annotated[str, CategoricalDistribution(("some", "none"))] = "some"

        def __post_init__(self) -> None:
            if self.depth == "none":
                raise ConfigError("depth = 'none'; it must be some")

    @dataclass
    class Composite(Plain):
        """Has a hyperparameter that cannot be written as JSON.

        Attributes:
            depth: of it.
        """

        depth: tuple[int, int] = (1, 2)

    class Careless(Plain):
        """Accepts everything."""

        @classmethod
        def from_configuration(cls, parameters: Mapping[str, Any]) -> Self:
            return cls(**{name: value for name, value in parameters.items() if name == "ridge" and value != "many"})

    return dict(zip(DECLARATIONS, (Needy, Silent, Elsewhere, Refuses, Composite, Careless), strict=True))


@pytest.mark.parametrize("check", DECLARATIONS)
def test_declarations_are_checked(check: str) -> None:
    assert DECLARATIONS[check] in failed_checks(classes()[check])[check]


def test_sets_of_names_are_checked() -> None:
    class Spelled(Plain):
        """Names one task where a set is needed."""

        defaults_chosen_on: ClassVar[Any] = "matbench_phonons"

    check = "needs, kinds, version and invariances are valid"
    assert "defaults_chosen_on = 'matbench_phonons'; it must be a set" in failed_checks(Spelled)[check]

    class Seen(Plain):
        """Names one data set where a set is needed."""

        pretrained_on: ClassVar[Any] = "MPtrj"

    assert "pretrained_on = 'MPtrj'; it must be a set" in failed_checks(Seen)[check]


# ---------------------------------------------------------------------- kinds, and checks that build on others


@dataclass
class Shares(Plain):
    """Predicts every kind, each in its own way.

    Attributes:
        excess: added to probabilities.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    excess: float = 0.0

    def predict(self, samples: Samples) -> Predictions:
        raw = super().predict(samples).values
        if self.target.kind is Kind.REGRESSION:
            return Predictions(raw, np.abs(raw) / 10)
        one = 1 / (1 + np.exp(-raw)) + self.excess
        rest = np.stack([one, (1 - one) / 2, (1 - one) / 2], axis=1)
        return Predictions(one if self.target.kind is Kind.BINARY else rest)


def test_every_kind_is_checked() -> None:
    assert check_model(Shares).passed == check_model(Plain).passed
    failed = failed_checks(Shares, excess=1.5)
    assert list(failed) == ["predictions are valid, without targets"]
    assert "outside [0, 1]" in next(iter(failed.values()))


def test_the_predicted_deviation_is_compared_too() -> None:
    class Wavers(Shares):
        """Predicts another standard deviation at every call."""

        kinds: ClassVar[frozenset[Kind]] = REGRESSION
        times = 0

        def predict(self, samples: Samples) -> Predictions:
            self.times += 1
            found = super().predict(samples)
            return Predictions(found.values, found.std * self.times)  # type: ignore[operator]

    failed = failed_checks(Wavers)
    assert all("the predicted standard deviations differ" in reason for reason in failed.values())
    assert "repeated predictions are identical" in failed


class Cold(Plain):
    """Cannot be fitted."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        raise RuntimeError("the oven\nis cold")


def test_checks_that_build_on_a_failed_fit_are_skipped() -> None:
    with pytest.raises(ContractError) as caught:
        check_model(Cold)
    error = caught.value
    assert error.failed[FITS] == "RuntimeError: the oven is cold"  # in one line
    assert set(error.failed) <= {FITS, "only the declared inputs are used"}
    assert len(error.passed) + len(error.failures) + len(error.skipped) == 27
    assert f"({len(error.skipped)} not run because they build on these)" in str(error)
    assert isinstance(error, AssertionError)
    assert isinstance(error, CrystalBenchError)


def test_an_exception_is_reported_in_one_line_with_its_place() -> None:
    with pytest.raises(ContractError) as caught:
        check_model(Cold)
    error = caught.value
    place = re.escape(str(Path(__file__).relative_to(Path.cwd())))
    assert re.search(rf"RuntimeError: the oven is cold \({place}:\d+\)$", str(error), re.MULTILINE)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert len(str(error).splitlines()) == len(error.failures) + 3
    assert "Traceback" not in str(error).replace("Tracebacks", "")
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "the oven" in text)
    assert error.failures[0].place.endswith(f":{line}")


def test_tracebacks_are_shown_on_request() -> None:
    with pytest.raises(ContractError) as caught:
        check_model(Cold)
    (text, *_) = caught.value.tracebacks.values()
    assert 'raise RuntimeError("the oven' in text
    assert "crystalbench/testing" not in text
    with pytest.raises(ContractError) as caught:
        check_model(Cold, verbose=True)
    assert text.rstrip() in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_errors_raised_by_a_library_are_located_in_the_model() -> None:
    class Crash(Plain):
        """Makes NumPy raise."""

        def predict(self, samples: Samples) -> Predictions:
            return Predictions(np.linalg.inv(np.zeros((2, 2)))[0])

    with pytest.raises(ContractError) as caught:
        check_model(Crash)
    (failure, *_) = caught.value.failures
    assert failure.reason.startswith("LinAlgError")
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "np.linalg.inv(np" in text)
    assert failure.place == f"{Path(__file__).relative_to(Path.cwd())}:{line}"


def test_a_finding_without_an_exception_has_no_place() -> None:
    with pytest.raises(ContractError) as caught:
        check_model(GlobalDice)
    assert [failure.place for failure in caught.value.failures] == ["", ""]
    assert "racebacks" not in str(caught.value)


def test_fit_must_return_self_and_set_the_target() -> None:
    class Returns(Plain):
        """Returns nothing."""

        def fit(self, train: Samples, valid: Samples) -> Self:
            super().fit(train, valid)
            return None  # type: ignore[return-value]

    class Aimless(Plain):
        """Does not keep its target."""

        def fit(self, train: Samples, valid: Samples) -> Self:
            super().fit(train, valid)
            del self.target
            return self

    assert failed_checks(Returns)[FITS] == "regression: fit returns NoneType; it must return self"
    aimless = failed_checks(Aimless)
    assert aimless[FITS] == "regression: fit must set self.target = train.target"
    assert any("is not fitted" in reason for reason in aimless.values())


def test_a_class_that_cannot_be_instantiated_is_reported() -> None:
    class Half(Model):
        """Does not predict."""

        needs = Needs.COMPOSITION

        def fit(self, train: Samples, valid: Samples) -> Self:
            return self

    @dataclass
    class Demanding(Plain):
        """Has no default.

        Attributes:
            depth: of it.
        """

        depth: int = field(kw_only=True)

    class Kindless(Plain):
        """Predicts nothing."""

        kinds: ClassVar[frozenset[Kind]] = frozenset()

    assert all("abstract method" in how and "predict" in how for how in failed_checks(Half).values())
    assert all("'depth'" in how for how in failed_checks(Demanding).values())
    assert list(failed_checks(Demanding, depth=3)) == ["defaults exist and lie in the search space"]
    assert list(failed_checks(Kindless).values()) == ["kinds = frozenset(); it must be a non-empty set of Kind"]


def test_a_model_without_state_and_restore_passes_with_a_note() -> None:
    class Unsaved(Plain):
        """Cannot be saved."""

        state = Model.state
        restore = Model.restore

    report = check_model(Unsaved)
    assert set(check_model(Plain).passed) - set(report.passed) == {
        "saved and loaded, it predicts the same",
        "saved data are numbers and JSON",
    }
    (note,) = report.notes
    assert "cannot be saved" in note
    assert "note: it cannot be saved" in str(report)


@pytest.mark.parametrize("missing", ["state", "restore"])
def test_a_model_with_one_of_state_and_restore_fails(missing: str) -> None:
    half = type("Half", (Plain,), {"__doc__": "Can be saved only half.", missing: getattr(Model, missing)})
    failed = failed_checks(half)
    assert f"{missing}(" in failed["saved and loaded, it predicts the same"]


def test_a_model_with_a_broken_state_fails() -> None:
    class Unfinished(Plain):
        """Raises while it is saved."""

        def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
            return {"weights": self.coefficients}, {}  # type: ignore[attr-defined]

    failed = failed_checks(Unfinished)
    assert "has no attribute 'coefficients'" in failed["saved and loaded, it predicts the same"]


# ---------------------------------------------------------------------- drifts, notes, parameters


def test_invariances_that_are_not_declared_are_measured() -> None:
    class Honest(Counts):
        """Counts atoms, and does not declare supercells."""

        invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION})

    report = check_model(Honest)
    assert set(report.drifts) == {"reflection", "supercell", "cell_choice"}
    assert report.drifts["supercell"] > 0.1
    assert max(report.drifts["reflection"], report.drifts["cell_choice"]) < 1e-8
    assert "supercell 0." in str(report)


def test_invariances_may_depend_on_hyperparameters() -> None:
    class Depends(Counts):
        """Declares what its hyperparameters allow."""

        @property
        def invariances(self) -> frozenset[Invariance]:  # type: ignore[override]
            return frozenset() if self.ridge == 1 else frozenset(Invariance)

    assert set(check_model(Depends).drifts) == set(Invariance)
    assert list(failed_checks(Depends, ridge=2)) == ["supercells have no influence, as declared"]
