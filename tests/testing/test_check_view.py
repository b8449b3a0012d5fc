"""`check_view` accepts the registered views, and broken views fail one check each."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from crystalbench.data.crystals import Crystals
from crystalbench.data.views import View, get_view, view_names
from crystalbench.errors import UnknownNameError
from crystalbench.testing import ContractError, check_view
from crystalbench.testing.crystals import changed

CHANGES_AGAIN = ("chemistry_shuffled", "perturbed", "supercell", "symmetrised")
"""Views that change a crystal again if they are applied twice; `symmetrised` only its origin."""
IDEMPOTENT_VIEWS = [name for name in (*view_names(), "anonymous+unit_density") if name not in CHANGES_AGAIN]


@pytest.mark.parametrize("name", [*CHANGES_AGAIN, "supercell+species_shuffled"])
def test_registered_and_composed_views_pass(name: str) -> None:
    report = check_view(name)
    assert len(report.passed) == 7
    assert report.notes


@pytest.mark.parametrize("name", IDEMPOTENT_VIEWS)
def test_the_projects_views_are_idempotent(name: str) -> None:
    report = check_view(get_view(name), idempotent=True)
    assert len(report.passed) == 8
    assert report.name == f"view {name}"
    assert report.passed[-1] == "it is idempotent, as claimed"


def drops(crystals: Crystals) -> Crystals:
    return crystals[1:]


def swaps(crystals: Crystals) -> Crystals:
    return crystals[::-1]


def infinite(crystals: Crystals) -> Crystals:
    return changed(crystals, lattices=np.where(crystals.volumes[:, None, None] > 60, np.inf, crystals.lattices))


def flat(crystals: Crystals) -> Crystals:
    return changed(crystals, lattices=crystals.lattices * [[[1], [1], [0]]])


def without_elements(crystals: Crystals) -> Crystals:
    return changed(crystals, numbers=np.zeros_like(crystals.numbers))


def noisy(crystals: Crystals) -> Crystals:
    return changed(crystals, frac_coords=crystals.frac_coords + random.random())


def centred(crystals: Crystals) -> Crystals:
    return changed(crystals, frac_coords=crystals.frac_coords - crystals.frac_coords.mean(0))


def named(crystals: Crystals) -> Crystals:
    shifts = np.array([len(str(i)) / 10 for i in crystals.ids])
    return changed(crystals, frac_coords=crystals.frac_coords + shifts[crystals.owners, None])


def wraps_in_place(crystals: Crystals) -> Crystals:
    np.remainder(crystals.frac_coords, 1, out=crystals.frac_coords)
    return crystals


def light(crystals: Crystals) -> Crystals:
    if crystals.numbers.max() > 100:
        raise ValueError("too heavy")
    return crystals


def grows(crystals: Crystals) -> Crystals:
    return changed(crystals, lattices=crystals.lattices * 1.1)


IDS, VALID, SAME = "rows and ids are kept", "crystals remain valid", "repeated calls give identical crystals"
INDEPENDENT, NAMES, KEPT = "crystals are viewed independently", "ids have no influence", "crystals are not modified"
EDGE, IDEMPOTENT = "edge cases are viewed", "it is idempotent, as claimed"
FAILING: list[tuple[Callable[[Crystals], Crystals], list[str], str]] = [
    (drops, [IDS], "changes rows or ids"),
    (swaps, [IDS], "changes rows or ids"),
    (infinite, [VALID, EDGE], "lattices holds values that are not finite"),
    (flat, [VALID, EDGE], "has a cell of volume 0"),
    (without_elements, [VALID, EDGE], "atomic numbers must be 1 to 118"),
    (noisy, [SAME, INDEPENDENT, NAMES], "called twice, frac_coords differs"),
    (centred, [INDEPENDENT], "crystal-0 alone, frac_coords differs"),
    (named, [NAMES], "with other ids, frac_coords differs"),
    (wraps_in_place, [KEPT], "it writes to them"),
    (light, [EDGE], "ValueError: too heavy"),
]


@pytest.mark.parametrize(("function", "checks", "reason"), FAILING, ids=[entry[0].__name__ for entry in FAILING])
def test_the_failed_checks_are_named(function: Callable[[Crystals], Crystals], checks: list[str], reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_view(View("broken", "nothing", function))
    assert set(caught.value.failed) == set(checks)
    assert any(reason in text for text in caught.value.failed.values()), caught.value.failed


def test_every_check_has_a_view_that_fails_it() -> None:
    assert {check for _, checks, _ in FAILING for check in checks} == set(check_view("full").passed)


def test_a_view_that_is_not_idempotent_fails_only_if_it_claims_to_be() -> None:
    view = View("grows", "nothing", grows)
    assert check_view(view).notes == ("applied twice, it gives other crystals than applied once",)
    with pytest.raises(ContractError) as caught:
        check_view(view, idempotent=True)
    assert caught.value.failed == {IDEMPOTENT: "applied twice, lattices differs"}


def test_the_place_of_an_error_is_the_line_of_the_view() -> None:
    with pytest.raises(ContractError) as caught:
        check_view(View("light", "nothing", light))
    (failure,) = caught.value.failures
    assert "test_check_view.py:" in failure.place
    assert 'raise ValueError("too heavy")' in failure.traceback


def test_unknown_views_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="anonymous"):
        check_view("anonymos")
