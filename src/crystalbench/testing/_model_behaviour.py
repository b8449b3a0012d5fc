"""Checks of how a model fits and predicts."""

from __future__ import annotations

import numpy as np

from crystalbench.data.crystals import concatenate
from crystalbench.data.flat import digest_of
from crystalbench.data.samples import Samples
from crystalbench.errors import DataError
from crystalbench.models.model import Needs
from crystalbench.testing._isolation import seed_all, unchanged_random_state
from crystalbench.testing._model_case import (
    ModelCase,
    frozen,
    prediction_crystals,
    renamed,
    require_identical,
    training_crystals,
)
from crystalbench.testing.crystals import isolated_atom, large_cell, single_atoms
from crystalbench.testing.report import CheckFailure
from crystalbench.testing.samples import TARGETS, targets_for


def fits(case: ModelCase) -> None:
    """Every declared kind of target can be fitted.

    `fit` returns self and sets ``self.target``.
    """
    for kind in case.kinds:
        model = case.fitted(kind)
        if type(model) is not case.model:
            raise CheckFailure(f"{kind}: fit returns {type(model).__name__}; it must return self")
        if getattr(model, "target", None) != TARGETS[kind]:
            raise CheckFailure(f"{kind}: fit must set self.target = train.target")
        if not (model.n_parameters is None or model.n_parameters >= 1):
            raise CheckFailure(f"{kind}: n_parameters = {model.n_parameters}")


def predictions_are_valid(case: ModelCase) -> None:
    """Predictions are valid, without targets.

    Finite, one per row; probabilities in [0, 1].
    """
    for kind in case.kinds:
        case.expected(kind)


def predictions_are_resolved(case: ModelCase) -> None:
    """Predictions differ by more than round-off.

    Or all are equal, as those of a baseline.
    """
    case.require_resolution()


def repeated_predictions_are_identical(case: ModelCase) -> None:
    """Repeated predictions are identical."""
    for kind in case.kinds:
        expected = case.expected(kind)
        again = case.predictions(case.fitted(kind), prediction_crystals(), kind)
        require_identical(expected, again, f"{kind}: predicted twice")


def same_seed_same_result(case: ModelCase) -> None:
    """Same seed, same result."""
    for kind in case.kinds:
        expected = case.expected(kind)
        seed_all(0)
        again = case.predictions(case.fit(kind), prediction_crystals(), kind)
        seed_all(1)
        last = case.predictions(case.fit(kind), prediction_crystals(), kind)
        for other in (again, last):
            require_identical(expected, other, f"{kind}: fitted twice with the same runtime.seed")


def leaves_the_random_state_alone(case: ModelCase) -> None:
    """Randomness comes from runtime.seed only.

    The global random state is left alone.
    """
    case.expected(case.kind)  # imports what the model needs
    seed_all(2)
    with unchanged_random_state("fit or predict"):
        case.predictions(case.fit(case.kind), prediction_crystals(), case.kind)


def rows_are_independent(case: ModelCase) -> None:
    """Rows are predicted independently.

    Neither the order nor the number of rows predicted together, nor an edge case among them, changes a prediction.
    """
    crystals = prediction_crystals()
    order = np.random.default_rng(0).permutation(len(crystals))
    case.require_equal(case.values(crystals[order]), order)
    for row in (0, len(crystals) - 1):
        case.require_equal(case.values(crystals[[row]]), np.array([row]))
    others = concatenate([isolated_atom(30.0, 14), large_cell(40, 42)])
    rows = np.arange(5, 12)
    case.require_equal(case.values(concatenate([others, crystals[rows]]))[len(others) :], rows)


def ids_have_no_influence(case: ModelCase) -> None:
    """Ids have no influence."""
    case.require_equal(case.values(renamed(prediction_crystals())))


def only_declared_inputs_are_used(case: ModelCase) -> None:
    """Only the declared inputs are used.

    A model that needs compositions predicts the same from crystals; one that needs structures refuses compositions.
    """
    kind = case.kind
    train, valid = training_crystals()
    if case.needs is Needs.STRUCTURE:
        compositions = Samples(train.compositions(), TARGETS[kind], targets_for(train, kind))
        try:
            case.new().fit(compositions, compositions)
        except DataError:
            return
        raise CheckFailure(
            "it declares Needs.STRUCTURE but also fits compositions; declare Needs.COMPOSITION if that is intended"
        )
    expected = case.expected(kind)  # from compositions
    model = case.new().fit(*(Samples(part, TARGETS[kind], targets_for(part, kind)) for part in (train, valid)))
    samples = Samples(prediction_crystals(), TARGETS[kind])
    found = model.predict(samples).checked(samples.target, samples.ids)
    require_identical(expected, found, "from compositions and from crystals")


def inputs_are_not_modified(case: ModelCase) -> None:
    """Inputs and targets are not modified."""
    kind = case.kind
    case.expected(kind)
    needs = case.needs
    train, valid = training_crystals()
    parts = [frozen(part, needs) for part in (train, valid, prediction_crystals()[:7])]
    targets = [targets_for(part, kind) for part in (train, valid)]
    for array in targets:
        array.flags.writeable = False
    before = [digest_of({**part.to_arrays()}) for part in parts], digest_of(dict(zip("ab", targets, strict=True)))
    try:
        model = case.new()
        model.fit(*(Samples(p, TARGETS[kind], t) for p, t in zip(parts[:2], targets, strict=True)))
        model.predict(Samples(parts[2], TARGETS[kind]))
    except ValueError as error:
        if "read-only" in str(error):
            raise CheckFailure(f"fit or predict writes to them ({error})") from error
        raise
    after = [digest_of({**part.to_arrays()}) for part in parts], digest_of(dict(zip("ab", targets, strict=True)))
    if before != after:
        raise CheckFailure("they differ after fit and predict")


def edge_cases_are_predicted(case: ModelCase) -> None:
    """Edge cases are predicted.

    Single atoms of the elements up to Z = 103, an isolated atom, a cell of 200 atoms.
    """
    for crystals in (single_atoms(), isolated_atom(), large_cell()):
        case.values(crystals)


def progress_reaches_the_end(case: ModelCase) -> None:
    """Progress reaches the end, if it is reported."""
    case.fitted(case.kind)
    calls: list[tuple[int, int]] = []
    case.fit(case.kind, progress=lambda done, total, **_: calls.append((done, total)))
    steps = [done for done, _ in calls]
    totals = {total for _, total in calls}
    if steps != sorted(steps) or len(totals) > 1 or any(not 0 <= done <= total for done, total in calls):
        raise CheckFailure(f"it does not increase steadily: {_shortened(calls)}")
    if calls and calls[-1][0] != calls[-1][1]:
        raise CheckFailure(f"it stops at {calls[-1][0]} of {calls[-1][1]}")


def _shortened(calls: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"{done} of {total}" for done, total in calls[:6])
    return shown + (", ..." if len(calls) > 6 else "")


CHECKS = (
    fits,
    predictions_are_valid,
    predictions_are_resolved,
    repeated_predictions_are_identical,
    same_seed_same_result,
    leaves_the_random_state_alone,
    rows_are_independent,
    ids_have_no_influence,
    only_declared_inputs_are_used,
    inputs_are_not_modified,
    edge_cases_are_predicted,
    progress_reaches_the_end,
)
