"""The contract of potentials."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.equivalent import atom_order, changed, moved_by_lattice_vectors, reordered, rotated, translated
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.potentials import Evaluation, Potential, get_potential
from crystalbench.representations.potentials.potential import GPA
from crystalbench.testing._isolation import isolated, seed_all, unchanged_random_state
from crystalbench.testing.crystals import isolated_atom, known_structures, one_crystal
from crystalbench.testing.report import CheckFailure, Checks, Memo, Report

VOLUME = 18.0
"""Volume per atom, in Å³, of crystals whose elements were exchanged for those that a potential knows."""

STEP, STRAIN = 0.02, 0.01
"""Displacement in Å, and strain, of numeric derivatives: large against the round-off of single precision."""

_NOT_DECLARED = "pretrained_on is empty: state the data sets that it was fitted to, if there are any"

Floats = npt.NDArray[np.float64]


@dataclass
class _PotentialCase:
    potential: Potential
    memo: Memo = field(default_factory=Memo)

    def crystals(self) -> Crystals:
        """Halite with a displaced atom, rutile and zinc, of elements that the potential knows."""
        return self.memo.get("crystals", lambda: _of_known_elements(self.potential.elements))

    def expected(self) -> Evaluation:
        """What the potential says about `crystals`."""
        return self.memo.get("expected", lambda: self.potential(self.crystals()))

    def energy(self, crystal: Crystals) -> float:
        """The energy of one crystal in eV."""
        return float(self.potential(crystal).energies[0])


def check_potential(potential: type[Potential] | Potential | str, /, *, verbose: bool = False) -> Report:
    """Check that a potential keeps the contract of all potentials.

    It is applied to three small crystals of elements that it knows. A failed check does not stop the others.

    The checks:

    * declarations are valid, and everything that determines the numbers can be written down (`Potential.recipe`);
    * results have a row per crystal and atom, are finite and the same each time; each crystal is evaluated
      independently, and ids have no influence;
    * stresses are symmetric, and forces have no sum; both are the derivatives of the energy, with the signs and in the
      units of `crystalbench.representations.potentials.Evaluation`;
    * rotations turn forces and stresses and leave energies and features; the order of the atoms, their periodic images
      and the origin have no influence; an atom alone feels no force; unknown elements are refused by id.

    Limit: tolerances are those of single precision, and only these crystals are evaluated. Whether ``pretrained_on`` is
    true cannot be checked.

    Args:
        potential: a class or an instance, a registered name, ``package.module:Class`` or ``path/to/file.py:Class``.
        verbose: whether the error message contains tracebacks.

    Returns:
        The checks, all of which passed.

    Raises:
        ContractError: a check failed; the message lists every failed check, the reason, and the line of the potential.
        UnknownNameError: no potential has this name.
        ConfigError: it cannot be imported, is not a potential, or needs an extra that is not installed.

    Example:
        >>> from ase.calculators.emt import EMT
        >>> from crystalbench.representations.potentials import ASEPotential
        >>> class EffectiveMedium(ASEPotential):
        ...     elements = frozenset({13, 28, 29, 46, 47, 78, 79})
        ...     def calculator(self):
        ...         return EMT()
        >>> "forces are derivatives of the energy" in check_potential(EffectiveMedium).passed
        True
    """
    __tracebackhide__ = True
    found = get_potential(potential) if isinstance(potential, str) else potential
    if isinstance(found, type) and issubclass(found, Potential):
        found = found()
    if not isinstance(found, Potential):
        raise ConfigError(
            f"check_potential({potential!r}): give a subclass of crystalbench.representations.potentials.Potential, or "
            "its name or place"
        )
    checks = Checks(type(found).__name__, _PotentialCase(found), type(found), verbose=verbose)
    with isolated():
        checks.run("class", (_declared,))
        checks.run("results", RESULTS)
        checks.run("physics", PHYSICS)
        return checks.report(notes=() if found.pretrained_on else (_NOT_DECLARED,))


def _declared(case: _PotentialCase) -> None:
    """Declarations are valid."""
    potential = case.potential
    if not isinstance(potential.version, int) or potential.version < 1:
        raise CheckFailure(f"version = {potential.version!r}; it must be an integer, at least 1")
    for name in ("pretrained_on", "elements"):
        if not isinstance(value := getattr(potential, name), frozenset):
            raise CheckFailure(f"{name} = {value!r}; it must be a frozenset")
    if not potential.elements or not potential.elements <= frozenset(range(1, 119)):
        raise CheckFailure("elements must be atomic numbers from 1 to 118, at least one")
    if not all(isinstance(name, str) and name for name in potential.pretrained_on):
        raise CheckFailure(f"pretrained_on = {set(potential.pretrained_on)!r}; it must contain names of data sets")
    for name, least in (("features", 0), ("batch_atoms", 1)):
        if not isinstance(value := getattr(potential, name), int) or value < least:
            raise CheckFailure(f"{name} = {value!r}; it must be an integer, at least {least}")
    try:
        json.dumps(potential.recipe)
    except TypeError as error:
        raise CheckFailure(f"the recipe cannot be written as JSON ({error})") from error


# ---------------------------------------------------------------------- results


def _shapes(case: _PotentialCase) -> None:
    """Results have a row per crystal and atom."""
    crystals, found = case.crystals(), case.expected()
    n, atoms = len(crystals), len(crystals.numbers)
    shapes = {"energies": (n,), "forces": (atoms, 3), "stresses": (n, 3, 3)}
    shapes["features"] = (atoms, case.potential.features)
    for name, shape in shapes.items():
        if (array := getattr(found, name)).shape != shape:
            raise CheckFailure(f"{name} of {n} crystals with {atoms} atoms have the shape {array.shape}, not {shape}")


def _repeated(case: _PotentialCase) -> None:
    """Repeated calls give the same results.

    Whatever the global random state is, which is left alone.
    """
    expected = case.expected()
    seed_all(3)
    with unchanged_random_state("it"):
        again = case.potential(case.crystals())
    _require_equal(again, expected, "computed twice", redescribed=False)


def _independent(case: _PotentialCase) -> None:
    """Crystals are evaluated independently."""
    crystals, together = case.crystals(), case.expected()
    for row in range(len(crystals)):
        alone = case.potential(crystals[[row]])
        _require_equal(alone, _of(together, crystals, [row]), "in another batch", redescribed=False)
    order = np.arange(len(crystals))[::-1]
    backwards = case.potential(crystals[order])
    _require_equal(backwards, _of(together, crystals, order), "in another order", redescribed=False)


def _ids(case: _PotentialCase) -> None:
    """Ids have no influence."""
    crystals = case.crystals()
    renamed = changed(crystals, ids=np.array([f"other-{row}" for row in range(len(crystals))]))
    _require_equal(case.potential(renamed), case.expected(), "with other ids")


# ---------------------------------------------------------------------- physics


def _balanced(case: _PotentialCase) -> None:
    """Stresses are symmetric and forces have no sum."""
    crystals, found = case.crystals(), case.expected()
    _require_close(found.stresses, found.stresses.transpose(0, 2, 1), 1e-5, 1e-4, "stresses and their transposes")
    for row in range(len(crystals)):
        total = found.forces[crystals.offsets[row] : crystals.offsets[row + 1]].sum(0)
        if np.abs(total).max() > 1e-4:
            raise CheckFailure(f"the forces on {crystals.ids[row]} have the sum {total.round(4).tolist()} eV/Å, not 0")


def _forces(case: _PotentialCase) -> None:
    """Forces are derivatives of the energy."""
    crystal, forces = case.crystals()[:1], case.expected().forces[1]
    shifts = STEP * np.linalg.inv(crystal.lattices[0])
    slopes = np.zeros(3)
    for axis in range(3):
        moved = [crystal.frac_coords.copy() for _ in range(2)]
        moved[0][1] += shifts[axis]
        moved[1][1] -= shifts[axis]
        ends = [case.energy(changed(crystal, frac_coords=coords)) for coords in moved]
        slopes[axis] = -(ends[0] - ends[1]) / (2 * STEP)
    if np.abs(slopes - forces).max() > 0.01 + 0.05 * np.abs(forces).max():
        raise CheckFailure(f"an atom has the force {_text(forces)} and −dE/dx = {_text(slopes)} eV/Å")


def _stresses(case: _PotentialCase) -> None:
    """Stresses are derivatives of the energy.

    With respect to strain, divided by the volume, in GPa; a compressed crystal has a negative trace.
    """
    crystal, stress = case.crystals()[:1], case.expected().stresses[0]
    slopes = np.zeros((3, 3))
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = STRAIN if i == j else STRAIN / 2
        ends = [case.energy(changed(crystal, lattices=crystal.lattices @ (np.eye(3) + s * strain))) for s in (1, -1)]
        slopes[i, j] = slopes[j, i] = GPA * (ends[0] - ends[1]) / (2 * STRAIN * float(crystal.volumes[0]))
    if np.abs(slopes - stress).max() > 0.2 + 0.05 * np.abs(stress).max():
        raise CheckFailure(f"a crystal has the stress {_text(stress)} and dE/(V dε) = {_text(slopes)} GPa")


def _rotation(case: _PotentialCase) -> None:
    """Rotation turns forces and stresses and leaves the rest."""
    crystals, one = case.crystals(), case.expected()
    turned = rotated(crystals, 4)
    turns = np.linalg.inv(crystals.lattices) @ turned.lattices
    expected = Evaluation(
        one.energies,
        np.einsum("ai,aij->aj", one.forces, turns[crystals.owners]),
        turns.transpose(0, 2, 1) @ one.stresses @ turns,
        one.features,
    )
    _require_equal(case.potential(turned), expected, "after a rotation")


def _description(case: _PotentialCase) -> None:
    """Order, images and origin have no influence."""
    crystals, expected = case.crystals(), case.expected()
    _require_equal(case.potential(moved_by_lattice_vectors(crystals)), expected, "with atoms in other cells")
    _require_equal(case.potential(translated(crystals)), expected, "with another origin")
    order = atom_order(crystals)
    ordered = Evaluation(expected.energies, expected.forces[order], expected.stresses, expected.features[order])
    _require_equal(case.potential(reordered(crystals, order)), ordered, "with atoms in another order")


def _isolated(case: _PotentialCase) -> None:
    """An atom alone feels no force."""
    found = case.potential(isolated_atom(number=min(case.potential.elements, key=lambda z: (abs(z - 20), z))))
    if np.abs(found.forces).max() > 1e-5:
        raise CheckFailure(f"its force is {found.forces[0].tolist()} eV/Å")


def _unknown(case: _PotentialCase) -> None:
    """Unknown elements are refused by id."""
    unknown = sorted(frozenset(range(1, 119)) - case.potential.elements, reverse=True)
    if not unknown:
        return
    other = one_crystal(np.eye(3) * 4, [[0, 0, 0]], [unknown[0]], "of-an-unknown-element")
    try:
        case.potential(concatenate([case.crystals(), other]))
    except DataError as error:
        if "of-an-unknown-element" not in str(error):
            raise CheckFailure(f"the error does not name the id: {error}") from error
    else:
        raise CheckFailure(f"a crystal of the element {unknown[0]}, which is not in elements, is evaluated")


RESULTS = (_shapes, _repeated, _independent, _ids)
PHYSICS = (_balanced, _forces, _stresses, _rotation, _description, _isolated, _unknown)


# ---------------------------------------------------------------------- crystals and comparisons


def _of_known_elements(elements: frozenset[int]) -> Crystals:
    known = known_structures()
    chosen = known[[known.ids.tolist().index(name) for name in ("halite", "rutile", "zinc")]]
    coords = chosen.frac_coords.copy()
    coords[1] += [0.01, 0.02, -0.015]
    numbers = np.array([min(elements, key=lambda other: (abs(other - z), other)) for z in chosen.numbers.tolist()])
    crystals = changed(chosen, frac_coords=coords, numbers=numbers.astype(chosen.numbers.dtype))
    other = np.bincount(chosen.owners, numbers != chosen.numbers) > 0
    sides = np.where(other, np.cbrt(VOLUME * crystals.atom_counts / crystals.volumes), 1.0)
    return changed(crystals, lattices=crystals.lattices * sides[:, None, None])


def _of(found: Evaluation, crystals: Crystals, rows: npt.ArrayLike) -> Evaluation:
    """The results of some of the crystals, in that order."""
    rows = np.asarray(rows)
    atoms = np.concatenate([np.arange(crystals.offsets[row], crystals.offsets[row + 1]) for row in rows])
    return Evaluation(found.energies[rows], found.forces[atoms], found.stresses[rows], found.features[atoms])


def _require_equal(found: Evaluation, expected: Evaluation, when: str, *, redescribed: bool = True) -> None:
    """Compare results of the same crystals within the round-off of single precision.

    Args:
        found: results.
        expected: what they should be.
        when: how they were made, for the message.
        redescribed: whether the crystals were described in another way, which rounds all coordinates differently.

    Raises:
        CheckFailure: they differ.
    """
    forces, features = (1e-3, 2e-3) if redescribed else (1e-4, 1e-3)
    _require_close(found.energies, expected.energies, 1e-5, 1e-6, f"{when}, energies")
    _require_close(found.forces, expected.forces, 0.0, forces, f"{when}, forces")
    _require_close(found.features, expected.features, 1e-5, features, f"{when}, features")
    largest = float(np.abs(expected.stresses).max(initial=0.0))
    _require_close(found.stresses, expected.stresses, 0.0, 1e-3 * largest, f"{when}, stresses")


def _text(array: Floats) -> str:
    return str(array.round(3).tolist())


def _require_close(found: Floats, expected: Floats, relative: float, absolute: float, what: str) -> None:
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=relative, atol=absolute):
        size = f" by up to {np.abs(found - expected).max():.2g}" if found.shape == expected.shape else " in shape"
        raise CheckFailure(f"{what} differ{size}")
