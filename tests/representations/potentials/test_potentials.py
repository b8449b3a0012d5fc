"""The interface of potentials, applied to every registered one, and potentials of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import SmoothSprings, Springs

from crystalbench import plugins
from crystalbench.data.crystals import Crystals
from crystalbench.data.equivalent import changed
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.representations.potentials import ASEPotential, get_potential, potential_names
from crystalbench.representations.potentials.potential import GPA
from crystalbench.testing import check_potential
from crystalbench.testing.crystals import known_structures, one_crystal

ALL = [*potential_names(), f"{Path(__file__).parent / 'toys.py'}:SmoothSprings"]


def crystals() -> Crystals:
    """Halite with a displaced atom, rutile, and zinc."""
    known = known_structures()
    chosen = known[[known.ids.tolist().index(name) for name in ("halite", "rutile", "zinc")]]
    coords = chosen.frac_coords.copy()
    coords[1] += [0.01, 0.02, -0.015]
    return changed(chosen, frac_coords=coords)


@pytest.mark.parametrize("name", ALL, ids=lambda name: name.rpartition(":")[2])
def test_they_keep_the_contract(name: str) -> None:
    report = check_potential(name)
    assert len(report.passed) == 12 and not report.notes
    potential = get_potential(name)
    assert not (type(potential).__doc__ or "").startswith("Springs that") or potential.recipe["code"]


@pytest.mark.parametrize("name", ALL, ids=lambda name: name.rpartition(":")[2])
def test_no_crystals_have_empty_results(name: str) -> None:
    potential = get_potential(name)
    nothing = potential(crystals()[:0])
    assert nothing.energies.shape == (0,)
    assert nothing.features.shape == (0, potential.features)


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
