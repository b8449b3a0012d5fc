"""The contract of views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.equivalent import changed
from crystalbench.data.flat import digest_of
from crystalbench.data.views import View, get_view
from crystalbench.testing._isolation import isolated, require_unmodified, seed_all, unchanged_random_state
from crystalbench.testing.crystals import isolated_atom, known_structures, large_cell, random_crystals, single_atoms
from crystalbench.testing.report import CheckFailure, Checks, Memo, Report

_RELATIVE = 1e-9
"""Largest tolerated difference between equal arrays: a view may round differently in another batch."""
_NOT_IDEMPOTENT = "applied twice, it gives other crystals than applied once"


@dataclass
class _ViewCase:
    view: View
    memo: Memo = field(default_factory=Memo)
    crystals: Crystals = field(default_factory=lambda: concatenate([random_crystals(3, 7), known_structures()]))

    def seen(self) -> Crystals:
        """The view of `crystals`."""
        return self.memo.get("seen", lambda: self.view(self.crystals))


def check_view(view: View | str, /, *, idempotent: bool = False, verbose: bool = False) -> Report:
    """Check that a view keeps the contract of all views.

    The checks: rows, ids and their order stay (numbers of atoms may change); the crystals remain valid; the same
    crystals give the same view; each crystal is viewed independently; crystals are not modified; ids have no influence;
    edge cases are viewed. What a view removes cannot be checked in general: test that yourself, with two crystals that
    differ in nothing else.

    Args:
        view: a view, a registered name or ``package.module:name``.
        idempotent: whether the view claims that applying it twice is the same as applying it once. Otherwise, the
            report has a note if it is not.
        verbose: whether the error message contains tracebacks.

    Returns:
        The checks, all of which passed.

    Raises:
        ContractError: a check failed; the message lists every failed check, the reason, and the line of the view.
        UnknownNameError: no view has this name.

    Example:
        >>> check_view("anonymous", idempotent=True).passed[0]
        'rows and ids are kept'
    """
    __tracebackhide__ = True
    found = get_view(view) if isinstance(view, str) else view
    case = _ViewCase(found)
    checks = Checks(f"view {found.name}", case, found.apply, verbose=verbose)
    with isolated():
        checks.run("checks", (*CHECKS, *((_idempotent,) if idempotent else ())))
        if checks.failures:
            return checks.report()
        notes = [] if idempotent or _difference(case.seen(), found(case.seen())) is None else [_NOT_IDEMPOTENT]
        return checks.report(notes=notes)


def _rows_and_ids(case: _ViewCase) -> None:
    """Rows and ids are kept."""
    case.seen()  # a view itself refuses other rows and ids


def _valid(case: _ViewCase) -> None:
    """Crystals remain valid.

    Finite coordinates, cells of positive volume, known elements.
    """
    seen = case.seen()
    for name in ("lattices", "frac_coords"):
        if not np.isfinite(getattr(seen, name)).all():
            raise CheckFailure(f"{name} holds values that are not finite")
    if not (seen.volumes > 0).all():
        raise CheckFailure(f"{seen.ids[np.argmin(seen.volumes)]} has a cell of volume {seen.volumes.min():.3g} Å³")
    if not ((seen.numbers >= 1) & (seen.numbers <= 118)).all():
        raise CheckFailure("atomic numbers must be 1 to 118")


def _repeated(case: _ViewCase) -> None:
    """Repeated calls give identical crystals."""
    expected = case.seen()
    seed_all(3)
    with unchanged_random_state("it"):
        again = case.view(case.crystals)
        if digest_of(expected.to_arrays()) != digest_of(again.to_arrays()):
            raise CheckFailure(f"called twice, {_difference(expected, again, 0.0) or 'the type of an array'} differs")


def _independent(case: _ViewCase) -> None:
    """Crystals are viewed independently."""
    expected = case.seen()
    order = np.random.default_rng(0).permutation(len(case.crystals))
    _require_equal(expected[order], case.view(case.crystals[order]), "in another order")
    for row in (0, len(case.crystals) - 1):
        _require_equal(expected[[row]], case.view(case.crystals[[row]]), f"{case.crystals.ids[row]} alone")


def _ids(case: _ViewCase) -> None:
    """Ids have no influence."""
    renamed = changed(case.crystals, ids=case.crystals.ids[::-1].copy())
    _require_equal(changed(case.seen(), ids=renamed.ids), case.view(renamed), "with other ids")


def _unmodified(case: _ViewCase) -> None:
    """Crystals are not modified."""
    case.seen()
    require_unmodified(case.view, case.crystals)


def _edge_cases(case: _ViewCase) -> None:
    """Edge cases are viewed.

    Single atoms of all elements, an isolated atom, a cell of 200 atoms.
    """
    case.seen()
    for crystals in (single_atoms(118), isolated_atom(), large_cell()):
        _valid(_ViewCase(case.view, crystals=crystals))


def _idempotent(case: _ViewCase) -> None:
    """It is idempotent, as claimed."""
    _require_equal(case.seen(), case.view(case.seen()), "applied twice")


CHECKS: tuple[Callable[[_ViewCase], None], ...] = (
    _rows_and_ids,
    _valid,
    _repeated,
    _independent,
    _ids,
    _unmodified,
    _edge_cases,
)


def _require_equal(one: Crystals, other: Crystals, what: str) -> None:
    if name := _difference(one, other):
        raise CheckFailure(f"{what}, {name} differs")


def _difference(one: Crystals, other: Crystals, tolerance: float = _RELATIVE) -> str | None:
    """The first array in which crystals differ by more than round-off."""
    for name, array in one.to_arrays().items():
        counterpart = other.to_arrays()[name]
        if array.shape != counterpart.shape:
            return name
        if array.dtype.kind == "f":
            equal = np.allclose(array, counterpart, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            equal = np.array_equal(array, counterpart)
        if not equal:
            return name
    return None
