"""What `check_model` finds about what models see, about hyperparameters and embeddings."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from broken_models import FITS, GlobalDice, Plain, failed_checks

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.models import Model, Needs, Sees
from crystalbench.testing import check_model

ELEMENTS = "elements have no influence, as declared"
STRUCTURE = "structure has no influence, as declared"


class Declares(Plain):
    """Reads only some columns of the features: 1 is chemistry, 2 is structure."""

    columns: ClassVar[tuple[int, ...]] = ()

    def features(self, samples: Samples) -> np.ndarray:
        return super().features(samples)[:, [0, *self.columns]]


@pytest.mark.parametrize(
    ("sees", "columns", "failures"),
    [
        (Sees.STRUCTURE, (2,), []),
        (Sees.STRUCTURE, (1, 2), [ELEMENTS]),
        (Sees.COMPOSITION, (1,), []),
        (Sees.COMPOSITION, (1, 2), [STRUCTURE]),
        (Sees.NOTHING, (), []),
        (Sees.NOTHING, (1,), [ELEMENTS]),
        (Sees.NOTHING, (2,), [STRUCTURE]),
        (Sees.STRUCTURE_AND_CHEMISTRY, (1, 2), []),
    ],
)
def test_a_model_does_not_see_what_it_declares_not_to_see(
    sees: Sees, columns: tuple[int, ...], failures: list[str]
) -> None:
    model = type("Seeing", (Declares,), {"__doc__": "Sees some.", "sees": sees, "columns": columns})
    if failures:
        assert list(failed_checks(model)) == failures
    else:
        passed = check_model(model).groups.get("what it sees", ())
        expected = {Sees.NOTHING: (ELEMENTS, STRUCTURE), Sees.COMPOSITION: (STRUCTURE,), Sees.STRUCTURE: (ELEMENTS,)}
        assert passed == expected.get(sees, ())


def test_what_a_model_sees_is_one_of_the_kinds() -> None:
    model = type("Spelled", (Plain,), {"__doc__": "Declares text.", "sees": "composition"})
    failed = failed_checks(model)
    assert "sees = 'composition'; it must be one of Sees.NOTHING" in failed[next(iter(failed))]


def test_a_model_of_compositions_cannot_see_structures() -> None:
    class Claims(Plain):
        """Claims more than it gets."""

        needs = Needs.COMPOSITION
        sees = Sees.STRUCTURE

        def features(self, samples: Samples) -> np.ndarray:
            return np.ones((len(samples), 1))

    failed = failed_checks(Claims)
    assert list(failed.values()) == ["sees = Sees.STRUCTURE, but needs = Needs.COMPOSITION: it gets no structures"]


def test_a_model_that_does_not_declare_what_it_sees_is_noted() -> None:
    model = type("Quiet", (Plain,), {"__doc__": "Declares nothing.", "sees": Model.sees})
    (note,) = check_model(model).notes
    assert note.startswith("it does not declare what it sees")


def test_a_constant_model_is_noted() -> None:
    class Constant(Plain):
        """Predicts the same for all."""

        def predict(self, samples: Samples) -> Predictions:
            return Predictions(np.full(len(samples), self.weights[0]))

    report = check_model(Constant)
    assert "predicted the same" in report.notes[0]
    assert "note: all crystals" in str(report)


def test_hyperparameters_are_reduced_unless_given() -> None:
    seen: list[tuple[int, int, int]] = []

    @dataclass
    class Slow(Plain):
        """Is slow by default.

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


def test_unknown_hyperparameters_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ridge'"):
        check_model(Plain, rigde=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'dummy'"):
        check_model("dumy")
    with pytest.raises(ConfigError, match="trees = 0"):
        check_model("magpie_forest", trees=0)


def test_the_global_random_state_is_restored() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    failed_checks(GlobalDice)
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_a_data_error_while_fitting_is_reported() -> None:
    class Picky(Plain):
        """Refuses a crystal."""

        def fit(self, train: Samples, valid: Samples) -> Self:
            raise DataError("crystal-3: too pretty")

    assert "DataError: crystal-3: too pretty" in failed_checks(Picky)[FITS]


def test_a_class_that_does_not_say_what_it_needs_fails_one_check() -> None:
    class Silent(Model):
        """Says nothing."""

        def fit(self, train: Samples, valid: Samples) -> Self:
            self.target = train.target
            return self

        def predict(self, samples: Samples) -> Predictions:
            return Predictions(np.zeros(len(samples)))

    failed = failed_checks(Silent)
    assert failed == {
        "needs, kinds, version and invariances are valid": "needs must be Needs.COMPOSITION or Needs.STRUCTURE"
    }


@pytest.mark.parametrize("what", [5, None, int, Plain()])
def test_what_is_not_a_model_class_is_refused(what: Any) -> None:
    with pytest.raises(ConfigError, match=r"give a subclass of crystalbench\.models\.Model, or its name or place"):
        check_model(what)


class Embedding(Plain):
    """Gives its features away."""

    def embed(self, samples: Samples) -> np.ndarray:
        return self.features(samples) if len(samples) else np.zeros((0, 3))

    def untrained(self, train: Samples) -> Self:
        model = type(self)()
        model.target = train.target
        return model


def test_embeddings_are_checked_where_there_are_any() -> None:
    report = check_model(Embedding)
    assert len(report.groups["embeddings"]) == 3
    assert set(report.passed) - set(check_model(Plain).passed) == set(report.groups["embeddings"])


@pytest.mark.parametrize(
    ("embed", "check", "reason"),
    [
        (lambda self, s: self.features(s)[:, 0], "there is a finite vector for each row", r"shape \(\d+,\)"),
        (lambda self, s: np.full((len(s), 2), np.nan), "there is a finite vector for each row", "not finite"),
        (lambda self, s: np.zeros((len(s), len(s))), "there is a finite vector for each row", r"must be \(0, \d+\)"),
        (lambda self, s: self.features(s) - self.features(s)[0], "rows are embedded independently", "change by"),
        (
            lambda self, s: np.random.default_rng().random((len(s), 2)),
            "reading embeddings changes nothing",
            "two untrained",
        ),
    ],
)
def test_broken_embeddings_fail(embed: Any, check: str, reason: str) -> None:
    broken = type("Broken", (Embedding,), {"__doc__": "Embeds badly.", "embed": embed})
    assert re.search(reason, failed_checks(broken)[check])


def test_an_untrained_model_is_a_new_one() -> None:
    broken = type("Broken", (Embedding,), {"__doc__": "Has no untrained twin.", "untrained": lambda self, train: self})
    assert "must return a new model" in failed_checks(broken)["reading embeddings changes nothing"]
