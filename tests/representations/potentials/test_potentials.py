"""The interface of potentials, applied to every registered one, and potentials of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import SmoothSprings, Springs

from crystalbench import plugins
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.equivalent import changed, rotated
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.representations.potentials import ASEPotential, Potential, get_potential, potential_names
from crystalbench.representations.potentials.potential import GPA
from crystalbench.testing.crystals import isolated_atom, known_structures, one_crystal

ALL = [*potential_names(), f"{Path(__file__).parent / 'toys.py'}:SmoothSprings"]


@pytest.fixture(params=ALL, ids=lambda name: name.rpartition(":")[2])
def potential(request: pytest.FixtureRequest) -> Potential:
    return get_potential(request.param)


def crystals() -> Crystals:
    """Halite with a displaced atom, rutile, and zinc."""
    known = known_structures()
    chosen = known[[known.ids.tolist().index(name) for name in ("halite", "rutile", "zinc")]]
    coords = chosen.frac_coords.copy()
    coords[1] += [0.01, 0.02, -0.015]
    return changed(chosen, frac_coords=coords)


def test_they_declare_themselves(potential: Potential) -> None:
    assert potential.pretrained_on
    assert potential.elements <= frozenset(range(1, 119))
    assert potential.recipe["version"] == potential.version
    assert not (type(potential).__doc__ or "").startswith("Springs that") or potential.recipe["code"]


def test_they_return_one_result_per_crystal_and_atom(potential: Potential) -> None:
    given = crystals()
    found = potential(given)
    n, atoms = len(given), len(given.numbers)
    shapes = (found.energies.shape, found.forces.shape, found.stresses.shape, found.features.shape)
    assert shapes == ((n,), (atoms, 3), (n, 3, 3), (atoms, potential.features))
    np.testing.assert_allclose(found.stresses, found.stresses.transpose(0, 2, 1), atol=1e-4)
    for crystal in range(n):
        own = found.forces[given.offsets[crystal] : given.offsets[crystal + 1]]
        np.testing.assert_allclose(own.sum(0), 0, atol=1e-4)  # no force on the crystal
    nothing = potential(given[:0])
    assert nothing.energies.shape == (0,)
    assert nothing.features.shape == (0, potential.features)


def test_crystals_are_independent(potential: Potential) -> None:
    given = crystals()
    together = potential(given)
    for row in range(len(given)):
        alone = potential(given[[row]])
        atoms = slice(given.offsets[row], given.offsets[row + 1])
        np.testing.assert_allclose(alone.energies, together.energies[[row]], rtol=1e-5)
        np.testing.assert_allclose(alone.forces, together.forces[atoms], atol=1e-4)
        np.testing.assert_allclose(alone.features, together.features[atoms], atol=1e-3)


def test_forces_and_stresses_are_derivatives_of_the_energy(potential: Potential) -> None:
    """Steps are large against round-off of single precision."""
    given, step = crystals()[:1], 0.02
    found = potential(given)
    along = step * np.array([1.0, -0.5, 0.5]) @ np.linalg.inv(given.lattices[0])
    sides = [given.frac_coords.copy(), given.frac_coords.copy()]
    sides[0][1] += along
    sides[1][1] -= along
    ends = [float(potential(changed(given, frac_coords=coords)).energies[0]) for coords in sides]
    slope = -(ends[0] - ends[1]) / (2 * step)
    assert slope == pytest.approx(float(found.forces[1] @ [1.0, -0.5, 0.5]), rel=0.05, abs=0.01)
    strain = 0.01 * np.array([[1.0, 0.3, 0], [0.3, 0, 0], [0, 0, -0.5]])
    ends = [
        float(potential(changed(given, lattices=given.lattices @ (np.eye(3) + sign * strain))).energies[0])
        for sign in (1, -1)
    ]
    slope = GPA * (ends[0] - ends[1]) / 2 / given.volumes[0]
    assert slope == pytest.approx(float((found.stresses[0] * strain).sum()), rel=0.1, abs=0.002)


def test_rotation_turns_forces_and_stresses_and_leaves_the_rest(potential: Potential) -> None:
    given = crystals()
    turned = rotated(given, 4)
    one, other = potential(given), potential(turned)
    turns = np.linalg.inv(given.lattices) @ turned.lattices
    np.testing.assert_allclose(other.energies, one.energies, rtol=1e-5)
    np.testing.assert_allclose(other.features, one.features, atol=2e-3)
    expected = np.einsum("ai,aij->aj", one.forces, turns[given.owners])
    np.testing.assert_allclose(other.forces, expected, atol=1e-3)
    np.testing.assert_allclose(
        other.stresses, turns.transpose(0, 2, 1) @ one.stresses @ turns, atol=1e-3 * np.abs(one.stresses).max()
    )


def test_an_isolated_atom_feels_nothing(potential: Potential) -> None:
    found = potential(isolated_atom(number=20))
    assert np.isfinite(found.energies).all()
    np.testing.assert_allclose(found.forces, 0, atol=1e-5)


def test_unknown_elements_are_refused_by_id(potential: Potential) -> None:
    heavy = one_crystal(np.eye(3) * 4, [[0, 0, 0]], [118], "oganesson")
    with pytest.raises(DataError, match=r"^oganesson: contains an element that .* does not know"):
        potential(concatenate([crystals(), heavy]))


def test_large_cells_are_batches_of_their_own() -> None:
    class Small(SmoothSprings):
        batch_atoms = 6
        calls: list[int] = []  # noqa: RUF012

    known = known_structures()  # 4, 8, 5, 2, 4, 6, 9, 8 and 12 atoms
    found = Small()(known)
    assert Small.calls == [1, 1, 1, 2, 1, 1, 1, 1]
    np.testing.assert_array_equal(found.energies, SmoothSprings()(known).energies)


def test_a_result_that_is_not_finite_is_refused_by_id() -> None:
    class Broken(Springs):
        def _of_pairs(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return lengths * np.nan, lengths

    with pytest.raises(DataError, match=r"^rutile: has an energy or a stress that is not finite"):
        Broken()(crystals())


# ---------------------------------------------------------------------- finding potentials


def test_chgnet_and_sevennet_are_registered() -> None:
    assert {"chgnet", "sevennet"} <= set(potential_names())
    assert get_potential("chgnet").pretrained_on == get_potential("sevennet").pretrained_on == {"MPtrj"}
    assert get_potential("chgnet") is get_potential("chgnet")


def test_unknown_potentials_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown potential 'chgnett'\. Did you mean 'chgnet'"):
        get_potential("chgnett")


def test_other_objects_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from crystalbench.representations.potentials import Potential\n"
        "number = 3\n"
        "class Half(Potential):\n"
        "    '''Not finished.'''\n"
    )
    for name in ("number", "Half"):
        with pytest.raises(ConfigError, match=r"it must be a subclass of .*Potential that defines _evaluate"):
            get_potential(f"{file}:{name}")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.importlib.util, "find_spec", lambda name: None)
    get_potential.cache_clear()
    with pytest.raises(ConfigError, match=r"'sevennet' needs .*; run: pip install 'crystalbench\[potentials\]'"):
        get_potential("sevennet")


def test_a_missing_package_of_a_potential_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unknown(Springs):
        packages = ("no-such-package",)
        extra = "potentials"

    with pytest.raises(ConfigError, match=r"needs no-such-package, .*; run: pip install 'crystalbench\[potentials\]'"):
        _ = Unknown().recipe


def test_the_code_of_a_users_potential_is_part_of_its_recipe(tmp_path: Path) -> None:
    source = (Path(__file__).parent / "toys.py").read_text()
    digests = []
    for k, text in enumerate((source, source.replace("STIFFNESS = 5.0", "STIFFNESS = 6.0"))):
        file = tmp_path / f"springs_{k}.py"
        file.write_text(text)
        digests.append(get_potential(f"{file}:Springs").recipe["code"])
    assert digests[0] != digests[1]


# ---------------------------------------------------------------------- calculators of ASE


def test_a_calculator_of_ase_gives_its_own_numbers() -> None:
    from ase.build import bulk
    from ase.calculators.emt import EMT

    class EffectiveMedium(ASEPotential):
        elements = frozenset({29})

        def calculator(self) -> EMT:
            return EMT()

    atoms = bulk("Cu", a=3.7, cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    crystal = one_crystal(atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers, "copper")
    found = EffectiveMedium()(crystal)
    assert found.energies[0] == pytest.approx(atoms.get_potential_energy())
    np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-8)
    np.testing.assert_allclose(found.stresses[0], GPA * atoms.get_stress(voigt=False), atol=1e-8)
    assert found.features.shape == (4, 0)


def test_an_error_of_a_calculator_names_the_crystal() -> None:
    class Nothing(ASEPotential):
        def calculator(self) -> object:
            return None

    with pytest.raises(DataError, match=r"^halite: Nothing fails: "):
        Nothing()(crystals())
