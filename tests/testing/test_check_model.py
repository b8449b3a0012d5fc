"""The contract of models catches small models that break one promise each, and names the promise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pytest
from broken_models import ALSO, BREAKS, REGRESSION, Counts, GlobalDice, Plain
from optuna.distributions import CategoricalDistribution, IntDistribution

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, CrystalBenchError, DataError, UnknownNameError
from crystalbench.models import Invariance, Model, Needs
from crystalbench.targets import Kind
from crystalbench.testing import ContractError, check_model

FITS = "it fits every kind of target that it declares, and knows its target then"


def broken_by(model: type[Model], **parameters: Any) -> dict[str, str]:
    with pytest.raises(ContractError) as caught:
        check_model(model, **parameters)
    assert all(f"{model.__name__} broke: {promise} - " in str(caught.value) for promise in caught.value.broken)
    return caught.value.broken


def test_a_model_that_keeps_all_is_told_what_it_keeps() -> None:
    report = check_model(Plain)
    assert report.name == "Plain"
    assert "same seed, same result" in report.kept
    assert "rotation changes nothing, as promised" in report.kept
    assert len(report.kept) == len(set(report.kept)) == 27
    assert not report.drifts
    assert not report.notes
    assert str(report).startswith("Plain keeps 27 promises:\n  it says what it needs")


def short(promise: str, known: list[str]) -> str:
    """The known beginning of a promise, or the promise."""
    return next((beginning for beginning in known if promise.startswith(beginning)), promise)


@pytest.mark.parametrize(("model", "promise", "how"), BREAKS, ids=[entry[0].__name__ for entry in BREAKS])
def test_a_broken_promise_is_named_and_no_other(model: type[Model], promise: str, how: str) -> None:
    broken = broken_by(model)
    expected = [promise, *ALSO.get(model, [])]
    assert [short(words, expected) for words in broken] == expected, broken
    assert how in next(iter(broken.values()))


def test_every_promise_of_behaviour_has_a_model_that_breaks_it() -> None:
    words = {promise for _, promise, _ in BREAKS} | set(SAID) | {FITS}
    kept = check_model(Plain).kept
    assert not [promise for promise in kept if not any(promise.startswith(known) for known in words)]


# ---------------------------------------------------------------------- what a class says of itself


SAID = {
    "it says what it needs": "needs must be",
    "its docstring describes it": "not described: depth",
    "every hyperparameter has a default": "depth = 7 is not in",
    "every end of its search space": "depth = 'none' is in its search space and refused",
    "its configuration is plain": "depth = (1, 2) is a tuple",
    "wrong types and unknown names": "is taken",
}


def classes() -> dict[str, type[Model]]:
    """A class for each promise of `SAID`, by promise."""

    class Needy(Plain):
        """Needs something."""

        needs = "everything"  # type: ignore[assignment]

    @dataclass
    class Silent(Plain):
        """Does not say what its depth is."""

        depth: int = 7

    @dataclass
    class Elsewhere(Plain):
        """Begins where nobody searches.

        Attributes:
            depth: of it.
        """

        depth: Annotated[int, IntDistribution(1, 5)] = 7

    @dataclass
    class Refuses(Plain):
        """Refuses what it offers.

        Attributes:
            depth: of it.
        """

        depth: Annotated[str, CategoricalDistribution(("some", "none"))] = "some"

        def __post_init__(self) -> None:
            if self.depth == "none":
                raise ConfigError("depth = 'none'; it must be some")

    @dataclass
    class Composite(Plain):
        """Takes what no record can hold.

        Attributes:
            depth: of it.
        """

        depth: tuple[int, int] = (1, 2)

    class Careless(Plain):
        """Takes everything."""

        @classmethod
        def from_configuration(cls, parameters: Mapping[str, Any]) -> Self:
            return cls(**{name: value for name, value in parameters.items() if name == "ridge" and value != "many"})

    return dict(zip(SAID, (Needy, Silent, Elsewhere, Refuses, Composite, Careless), strict=True))


@pytest.mark.parametrize("promise", SAID)
def test_what_a_class_says_of_itself_is_checked(promise: str) -> None:
    broken = broken_by(classes()[promise])
    assert [how for words, how in broken.items() if words.startswith(promise) and SAID[promise] in how], broken


# ---------------------------------------------------------------------- kinds, and what follows from what


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
    assert check_model(Shares).kept == check_model(Plain).kept
    broken = broken_by(Shares, excess=1.5)
    assert list(broken) == [p for p in check_model(Plain).kept if p.startswith("it predicts rows whose targets")]
    assert "outside [0, 1]" in next(iter(broken.values()))


def test_the_predicted_deviation_is_compared_too() -> None:
    class Wavers(Shares):
        """Is not sure how sure it is."""

        kinds: ClassVar[frozenset[Kind]] = REGRESSION
        times = 0

        def predict(self, samples: Samples) -> Predictions:
            self.times += 1
            found = super().predict(samples)
            return Predictions(found.values, found.std * self.times)  # type: ignore[operator]

    broken = broken_by(Wavers)
    assert all("the predicted standard deviations differ" in how for how in broken.values())
    assert any(promise == "asked again, it predicts the same" for promise in broken)


def test_what_builds_on_a_failed_fit_is_not_reported_again() -> None:
    class Cold(Plain):
        """Fails."""

        def fit(self, train: Samples, valid: Samples) -> Self:
            raise RuntimeError("the oven is cold")

    with pytest.raises(ContractError) as caught:
        check_model(Cold)
    assert caught.value.broken[FITS] == "RuntimeError: the oven is cold"
    assert set(caught.value.broken) <= {
        FITS,
        "it sees only what it says that it needs",
    }
    assert isinstance(caught.value.__cause__, ExceptionGroup)  # with the traceback
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, CrystalBenchError)


def test_a_fit_that_returns_nothing_or_forgets_its_target_is_told() -> None:
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

    promise = FITS
    assert broken_by(Returns)[promise] == "regression: fit returns NoneType; it must return self"
    aimless = broken_by(Aimless)
    assert aimless[promise] == "regression: fit must set self.target = train.target"
    assert any("is not fitted" in how for how in aimless.values())


def test_a_class_of_which_nothing_can_be_made_is_told_why() -> None:
    class Half(Model):
        """Does not predict."""

        needs = Needs.COMPOSITION

        def fit(self, train: Samples, valid: Samples) -> Self:
            return self

    @dataclass
    class Demanding(Plain):
        """Wants to be told.

        Attributes:
            depth: of it.
        """

        depth: int = field(kw_only=True)

    class Kindless(Plain):
        """Predicts nothing."""

        kinds: ClassVar[frozenset[Kind]] = frozenset()

    assert all("abstract method" in how and "predict" in how for how in broken_by(Half).values())
    assert all("'depth'" in how for how in broken_by(Demanding).values())
    assert [p.startswith("every hyperparameter has a default") for p in broken_by(Demanding, depth=3)] == [True]
    assert list(broken_by(Kindless).values()) == ["kinds = frozenset(); it must be a set of some of Kind"]


def test_a_model_that_cannot_be_saved_is_told_how() -> None:
    class Mute(Plain):
        """Keeps what it has learned."""

        state = Model.state

    broken = broken_by(Mute)
    assert all("Mute cannot be saved until it defines state()" in how for how in broken.values())
    assert any(promise.startswith("saved and loaded") for promise in broken)


# ---------------------------------------------------------------------- what is measured, and what is given


def test_what_is_not_promised_is_measured() -> None:
    class Honest(Counts):
        """Counts atoms, and says so."""

        invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION})

    report = check_model(Honest)
    assert set(report.drifts) == {"reflection", "supercell", "cell_choice"}
    assert report.drifts["supercell"] > 0.1
    assert max(report.drifts["reflection"], report.drifts["cell_choice"]) < 1e-8
    assert "supercell: 0." in str(report)


def test_invariances_may_depend_on_hyperparameters() -> None:
    class Depends(Counts):
        """Says for itself."""

        @property
        def invariances(self) -> frozenset[Invariance]:  # type: ignore[override]
            return frozenset() if self.ridge == 1 else frozenset(Invariance)

    assert set(check_model(Depends).drifts) == set(Invariance)
    assert list(broken_by(Depends, ridge=2)) == ["a supercell changes nothing, as promised"]


def test_a_constant_model_is_noted() -> None:
    class Constant(Plain):
        """Knows nothing."""

        def predict(self, samples: Samples) -> Predictions:
            return Predictions(np.full(len(samples), self.weights[0]))

    report = check_model(Constant)
    assert "predicted the same" in report.notes[0]
    assert "note: all crystals" in str(report)


def test_hyperparameters_are_cut_down_unless_given() -> None:
    seen: list[tuple[int, int, int]] = []

    @dataclass
    class Slow(Plain):
        """Takes its time.

        Attributes:
            epochs: passes.
            width: of it, at least 30.
            layers: of it.
        """

        epochs: int = 500
        width: int = 64
        layers: int = 4

        def __post_init__(self) -> None:
            if self.width < 30:
                raise ConfigError(f"width = {self.width}; it must be at least 30")

        def fit(self, train: Samples, valid: Samples) -> Self:
            seen.append((self.epochs, self.width, self.layers))
            return super().fit(train, valid)

    check_model(Slow, layers=3)
    assert set(seen) == {(2, 64, 3)}


def test_hyperparameters_that_a_model_does_not_have_are_the_callers_mistake() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ridge'"):
        check_model(Plain, rigde=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'dummy'"):
        check_model("dumy")
    with pytest.raises(ConfigError, match="trees = 0"):
        check_model("magpie_forest", trees=0)


def test_the_random_state_is_left_as_it_was() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    broken_by(GlobalDice)
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_a_data_error_while_fitting_is_shown_as_it_is() -> None:
    class Picky(Plain):
        """Refuses."""

        def fit(self, train: Samples, valid: Samples) -> Self:
            raise DataError("crystal-3: too pretty")

    assert "DataError: crystal-3: too pretty" in broken_by(Picky)[FITS]
