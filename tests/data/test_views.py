"""One contract for every registered view: a new one is tested as soon as it is registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import changed, random_crystals, read_only, repeatable, samples_of, supercells
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.data.crystals import Crystals
from crystalbench.data.views import View, get_view, view_names
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.cgcnn import CGCNN


def _other_elements(crystals: Crystals) -> Crystals:
    rng = np.random.default_rng(0)
    return changed(crystals, numbers=rng.integers(1, 119, len(crystals.numbers)).astype(np.uint8))


def _other_density(crystals: Crystals) -> Crystals:
    scale = np.random.default_rng(0).uniform(0.7, 1.5, len(crystals))
    return changed(crystals, lattices=crystals.lattices * scale[:, None, None])


DIFFERENT_ONLY_IN_WHAT_IS_REMOVED: dict[str, Callable[[Crystals], Crystals]] = {
    "full": lambda crystals: crystals,
    "no_chemistry": _other_elements,
    "no_density": _other_density,
}

seeds = st.integers(0, 2**32 - 1)


def assert_equal(one: Crystals, other: Crystals) -> None:
    np.testing.assert_allclose(one.lattices, other.lattices, rtol=1e-12)
    assert np.array_equal(one.frac_coords, other.frac_coords)
    assert np.array_equal(one.numbers, other.numbers)
    assert np.array_equal(one.offsets, other.offsets)
    assert np.array_equal(one.ids, other.ids)


def test_every_view_is_tested_here() -> None:
    assert set(view_names()) == set(DIFFERENT_ONLY_IN_WHAT_IS_REMOVED)


@pytest.mark.parametrize("name", view_names())
@repeatable(10)
@given(seed=seeds)
def test_views_keep_rows_and_are_idempotent(name: str, seed: int) -> None:
    crystals = read_only(random_crystals(seed, largest_z=118))
    view = get_view(name)
    shown = view(crystals)
    assert np.array_equal(shown.ids, crystals.ids)
    assert np.array_equal(shown.atom_counts, crystals.atom_counts)
    assert (shown.volumes > 0).all()
    assert_equal(view(shown), shown)
    assert_equal(view(crystals[[3, 1]]), shown[[3, 1]])  # each row by itself
    Crystals.from_flat(shown.lattices, shown.frac_coords, shown.numbers, shown.atom_counts, shown.ids)  # still valid


@pytest.mark.parametrize("name", view_names())
@repeatable(10)
@given(seed=seeds)
def test_removed_information_cannot_be_seen(name: str, seed: int) -> None:
    crystals = random_crystals(seed)
    view = get_view(name)
    assert_equal(view(DIFFERENT_ONLY_IN_WHAT_IS_REMOVED[name](crystals)), view(crystals))
    assert view.removes
    assert view.name == name


@pytest.mark.parametrize("name", [name for name in view_names() if name != "full"])
def test_removed_information_can_be_seen_without_the_view(name: str) -> None:
    crystals = random_crystals(0)
    other = DIFFERENT_ONLY_IN_WHAT_IS_REMOVED[name](crystals)
    assert other.digest != crystals.digest
    train, valid = random_crystals(1, 24, most_atoms=3), random_crystals(2, 8, most_atoms=3)
    view = get_view(name)
    seeing = CGCNN(width=8, layers=1, epochs=2).fit(samples_of(train), samples_of(valid))
    blind = CGCNN(width=8, layers=1, epochs=2).fit(samples_of(view(train)), samples_of(view(valid)))

    def difference(model: CGCNN, one: Crystals, two: Crystals) -> np.ndarray:
        return np.abs(model.predict(samples_of(one)).values - model.predict(samples_of(two)).values)

    assert difference(seeing, crystals, other).max() > 1e-4
    assert difference(blind, view(crystals), view(other)).max() < 1e-5


def test_what_each_view_keeps() -> None:
    crystals = random_crystals(4)
    assert get_view("full")(crystals) is crystals
    blind = get_view("no_chemistry")(crystals)
    assert set(blind.numbers) == {6}
    assert np.array_equal(blind.lattices, crystals.lattices)
    assert blind.compositions().chemical_systems() == ["C"] * 7
    scaled = get_view("no_density")(crystals)
    np.testing.assert_allclose(scaled.volumes / scaled.atom_counts, 20.0)
    assert np.array_equal(scaled.numbers, crystals.numbers)
    shapes = [c.lattices / np.cbrt(c.volumes)[:, None, None] for c in (scaled, crystals)]
    np.testing.assert_allclose(shapes[0], shapes[1], rtol=1e-12)


@pytest.mark.parametrize("change", [lambda c: c[[1, 0]], lambda c: c[:1], lambda c: supercells(c, (2, 1, 1))])
def test_a_view_that_changes_rows_is_refused(change: Callable[[Crystals], Crystals]) -> None:
    with pytest.raises(ConfigError, match="view 'mine' changes ids or numbers of atoms"):
        View("mine", "rows", change)(random_crystals(0, 2))


def test_names_of_views_with_special_characters_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\.\./mine.*may contain only letters"):
        View("../mine", "nothing", lambda crystals: crystals)


def test_finding_views(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown view 'no_chemisty'\. Did you mean 'no_chemistry'"):
        get_view("no_chemisty")
    file = tmp_path / "my_views.py"
    file.write_text("from crystalbench.data.views import View\nmine = View('mine', 'all', lambda c: c)\nnumber = 3\n")
    assert get_view(f"{file}:mine").removes == "all"
    with pytest.raises(ConfigError, match="is 3, not a crystalbench"):
        get_view(f"{file}:number")
