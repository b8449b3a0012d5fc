"""`check_potential` accepts potentials with forces and stresses of their energy, and small broken ones fail a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.plugins import load
from crystalbench.representations.potentials import ASEPotential, Evaluation, Potential
from crystalbench.representations.potentials.potential import GPA
from crystalbench.testing import ContractError, check_potential

TOYS = Path(__file__).parents[1] / "representations" / "potentials" / "toys.py"
SPRINGS = f"{TOYS}:SmoothSprings"
Springs: type[Potential] = load("crystalbench.potentials", "potential", SPRINGS)


class EffectiveMedium(ASEPotential):
    """Seven metals only."""

    elements = frozenset({13, 28, 29, 46, 47, 78, 79})

    def calculator(self) -> Any:
        from ase.calculators.emt import EMT

        return EMT()


@pytest.mark.parametrize("potential", [SPRINGS, Springs, Springs()], ids=["place", "class", "instance"])
def test_what_keeps_the_contract_passes(potential: type[Potential] | Potential | str) -> None:
    report = check_potential(potential)
    assert report.name == "SmoothSprings" and len(report.passed) == 12
    assert not report.notes


def test_a_potential_of_few_elements_passes_with_a_note() -> None:
    report = check_potential(EffectiveMedium)
    assert len(report.passed) == 12
    assert report.notes == ("pretrained_on is empty: state the data sets that it was fitted to, if there are any",)


def test_other_objects_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'chgnet'"):
        check_potential("chgnett")
    with pytest.raises(ConfigError, match="give a subclass of"):
        check_potential(3)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- broken potentials


def broken(change: Callable[[Evaluation, Crystals], Evaluation]) -> type[Potential]:
    """Springs whose results are changed."""

    class Broken(Springs):  # type: ignore[misc,valid-type]
        def _evaluate(self, crystals: Crystals) -> Evaluation:
            return change(super()._evaluate(crystals), crystals)

    return Broken


def first_column(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.concatenate([column[:, None], values[:, 1:]], axis=1)


def of_order(crystals: Crystals) -> np.ndarray:
    return np.concatenate([np.arange(count, dtype=float) for count in crystals.atom_counts])


class Random(Springs):  # type: ignore[misc,valid-type]
    """Draws from the global generator."""

    def _evaluate(self, crystals: Crystals) -> Evaluation:
        np.random.random()  # noqa: NPY002
        return super()._evaluate(crystals)  # type: ignore[no-any-return]


class Accepting(Springs):  # type: ignore[misc,valid-type]
    """Evaluates what it does not know."""

    def __call__(self, crystals: Crystals) -> Evaluation:
        return self._evaluate(crystals)  # type: ignore[no-any-return]


class Undeclared(Springs):  # type: ignore[misc,valid-type]
    """Names its data as a set."""

    pretrained_on: ClassVar[Any] = {"springs"}


class Wide(Springs):  # type: ignore[misc,valid-type]
    """Has fewer features than it declares."""

    features: ClassVar[int] = 3


BROKEN: list[tuple[str, type[Potential], str]] = [
    ("declarations are valid", Undeclared, "pretrained_on = {'springs'}; it must be a frozenset"),
    ("results have a row per crystal and atom", Wide, "have the shape (16, 2), not (16, 3)"),
    ("repeated calls give the same results", Random, "changes the global random state of numpy"),
    ("unknown elements are refused by id", Accepting, "a crystal of the element 118"),
    (
        "crystals are evaluated independently",
        broken(lambda found, crystals: replace(found, energies=found.energies + len(crystals))),
        "in another batch, energies differ by up to",
    ),
    (
        "ids have no influence",
        broken(lambda found, crystals: replace(found, energies=found.energies + np.char.startswith(crystals.ids, "o"))),
        "with other ids, energies differ by up to 1",
    ),
    (
        "stresses are symmetric and forces have no sum",
        broken(lambda found, _: replace(found, forces=found.forces + 0.0002 * (len(found.forces) > 1))),
        "the forces on halite have the sum [0.0016, 0.0016, 0.0016] eV/Å",
    ),
    (
        "forces are derivatives of the energy",
        broken(lambda found, _: replace(found, forces=-found.forces)),
        "an atom has the force [",
    ),
    (
        "stresses are derivatives of the energy",
        broken(lambda found, _: replace(found, stresses=found.stresses / GPA)),
        "a crystal has the stress [[",
    ),
    (
        "rotation turns forces and stresses and leaves the rest",
        broken(
            lambda found, crystals: replace(
                found, features=first_column(found.features, crystals.lattices[crystals.owners, 0, 0])
            )
        ),
        "after a rotation, features differ",
    ),
    (
        "order, images and origin have no influence",
        broken(lambda found, crystals: replace(found, features=first_column(found.features, of_order(crystals)))),
        "with atoms in another order, features differ",
    ),
    (
        "an atom alone feels no force",
        broken(lambda found, _: replace(found, forces=found.forces + 1e-4 * (np.abs(found.forces).sum() == 0))),
        "its force is [0.0001, 0.0001, 0.0001] eV/Å",
    ),
]


@pytest.mark.parametrize(("check", "potential", "says"), BROKEN, ids=[check for check, *_ in BROKEN])
def test_each_check_finds_what_it_is_for(check: str, potential: type[Potential], says: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_potential(potential)
    assert set(caught.value.failed) == {check}
    assert says in caught.value.failed[check]


def test_every_check_has_a_broken_potential() -> None:
    assert {check for check, *_ in BROKEN} == set(check_potential(SPRINGS).passed)
