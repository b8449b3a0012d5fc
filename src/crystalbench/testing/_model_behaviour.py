"""How a model fits and predicts."""

from __future__ import annotations

import numpy as np

from crystalbench.data.crystals import joined
from crystalbench.data.flat import digest_of
from crystalbench.data.samples import Samples
from crystalbench.errors import DataError
from crystalbench.models.model import Needs
from crystalbench.testing._model_case import ModelCase, asked_crystals, frozen, renamed, same, training_crystals
from crystalbench.testing._randomness import random_state, seed_all
from crystalbench.testing.crystals import isolated_atom, large_cell, single_atoms
from crystalbench.testing.report import Broken
from crystalbench.testing.samples import TARGETS, targets_for


def fits(case: ModelCase) -> None:
    """It fits every kind of target that it declares, and knows its target then."""
    for kind in case.kinds:
        model = case.fitted(kind)
        if type(model) is not case.model:
            raise Broken(f"{kind}: fit returns {type(model).__name__}; it must return self")
        if getattr(model, "target", None) != TARGETS[kind]:
            raise Broken(f"{kind}: fit must set self.target = train.target")
        if not (model.n_parameters is None or model.n_parameters >= 1):
            raise Broken(f"{kind}: n_parameters = {model.n_parameters}")


def predicts_without_targets(case: ModelCase) -> None:
    """It predicts rows whose targets are not given: finite, one for each row, probabilities in [0, 1]."""
    for kind in case.kinds:
        case.expected(kind)


def tells_crystals_apart(case: ModelCase) -> None:
    """It predicts different crystals differently, or all of them the same."""
    case.tells_apart()


def predicts_twice_the_same(case: ModelCase) -> None:
    """Asked again, it predicts the same."""
    for kind in case.kinds:
        expected = case.expected(kind)
        again = case.predictions(case.fitted(kind), asked_crystals(), kind)
        same(expected, again, f"{kind}: asked twice")


def same_seed_same_result(case: ModelCase) -> None:
    """Same seed, same result."""
    for kind in case.kinds:
        expected = case.expected(kind)
        seed_all(0)
        again = case.predictions(case.fit(kind), asked_crystals(), kind)
        seed_all(1)
        last = case.predictions(case.fit(kind), asked_crystals(), kind)
        for other in (again, last):
            same(expected, other, f"{kind}: fitted twice with the same runtime.seed")


def leaves_the_random_state_alone(case: ModelCase) -> None:
    """It draws from runtime.seed alone and leaves the global random state as it is."""
    case.expected(case.kind)  # whatever is imported is imported by now
    seed_all(2)
    before = random_state()
    case.predictions(case.fit(case.kind), asked_crystals(), case.kind)
    after = random_state()
    if drawn := [name for name, state in before.items() if after[name] != state]:
        raise Broken(f"fit or predict changes the global random state of {' and '.join(drawn)}")


def rows_stand_alone(case: ModelCase) -> None:
    """Every row is predicted by itself: what other rows are asked for changes nothing."""
    crystals = asked_crystals()
    order = np.random.default_rng(0).permutation(len(crystals))
    case.agree(case.values(crystals[order]), order)
    for row in (0, len(crystals) - 1):
        case.agree(case.values(crystals[[row]]), np.array([row]))
    strange = joined([isolated_atom(30.0, 14), large_cell(40, 42)])
    rows = np.arange(5, 12)
    case.agree(case.values(joined([strange, crystals[rows]]))[len(strange) :], rows)


def ids_are_names(case: ModelCase) -> None:
    """Ids of rows are names: other ids change nothing."""
    case.agree(case.values(renamed(asked_crystals())))


def sees_what_it_needs(case: ModelCase) -> None:
    """It sees only what it says that it needs."""
    kind = case.kind
    train, valid = training_crystals()
    if case.model.needs is Needs.STRUCTURE:
        compositions = Samples(train.compositions(), TARGETS[kind], targets_for(train, kind))
        try:
            case.made().fit(compositions, compositions)
        except DataError:
            return
        raise Broken("it declares Needs.STRUCTURE and fits compositions; it could declare Needs.COMPOSITION")
    expected = case.expected(kind)  # seen compositions only
    model = case.made().fit(*(Samples(part, TARGETS[kind], targets_for(part, kind)) for part in (train, valid)))
    asked = Samples(asked_crystals(), TARGETS[kind])
    found = model.predict(asked).checked(asked.target, asked.ids)
    same(expected, found, "shown compositions, and then crystals")


def changes_nothing(case: ModelCase) -> None:
    """It changes neither its inputs nor its targets."""
    kind = case.kind
    case.expected(kind)
    needs = case.model.needs
    train, valid = training_crystals()
    parts = [frozen(part, needs) for part in (train, valid, asked_crystals()[:7])]
    targets = [targets_for(part, kind) for part in (train, valid)]
    for array in targets:
        array.flags.writeable = False
    before = [digest_of({**part.to_arrays()}) for part in parts], digest_of(dict(zip("ab", targets, strict=True)))
    try:
        model = case.made()
        model.fit(*(Samples(p, TARGETS[kind], t) for p, t in zip(parts[:2], targets, strict=True)))
        model.predict(Samples(parts[2], TARGETS[kind]))
    except ValueError as error:
        if "read-only" in str(error):
            raise Broken(f"it writes to them ({error})") from error
        raise
    after = [digest_of({**part.to_arrays()}) for part in parts], digest_of(dict(zip("ab", targets, strict=True)))
    if before != after:
        raise Broken("they are others after fit and predict")


def strange_crystals_are_predicted(case: ModelCase) -> None:
    """Strange crystals are predicted: single atoms of elements to Z = 103, an isolated atom, a cell of 200 atoms."""
    for crystals in (single_atoms(), isolated_atom(), large_cell()):
        case.values(crystals)


def progress_reaches_the_end(case: ModelCase) -> None:
    """Progress goes forward to the end, where it is reported."""
    case.fitted(case.kind)
    calls: list[tuple[int, int]] = []
    case.fit(case.kind, progress=lambda done, total, **_: calls.append((done, total)))
    steps = [done for done, _ in calls]
    totals = {total for _, total in calls}
    if steps != sorted(steps) or len(totals) > 1 or any(not 0 <= done <= total for done, total in calls):
        raise Broken(f"it is reported as {_shortened(calls)}")
    if calls and calls[-1][0] != calls[-1][1]:
        raise Broken(f"it stops at {calls[-1][0]} of {calls[-1][1]}")


def _shortened(calls: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"{done} of {total}" for done, total in calls[:6])
    return shown + (", ..." if len(calls) > 6 else "")


PROMISES = (
    fits,
    predicts_without_targets,
    tells_crystals_apart,
    predicts_twice_the_same,
    same_seed_same_result,
    leaves_the_random_state_alone,
    rows_stand_alone,
    ids_are_names,
    sees_what_it_needs,
    changes_nothing,
    strange_crystals_are_predicted,
    progress_reaches_the_end,
)
