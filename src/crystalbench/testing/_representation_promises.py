"""What every representation promises."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, joined
from crystalbench.data.flat import digest_of
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.errors import DataError
from crystalbench.representations import CRYSTAL, Arrays
from crystalbench.testing._randomness import random_state, seed_all
from crystalbench.testing._representation_case import COMMON_Z, RepresentationCase, asked_crystals, same_arrays
from crystalbench.testing.crystals import isolated_atom, large_cell, read_only, single_atoms
from crystalbench.testing.report import Broken


def is_a_frozen_dataclass(case: RepresentationCase) -> None:
    """It is a frozen dataclass of its options, with a docstring and a version."""
    kind = type(case.representation)
    own = [name for name, hint in inspect.get_annotations(kind).items() if "ClassVar" not in str(hint)]
    if "__dataclass_params__" not in vars(kind) and (own or "__init__" in vars(kind)):
        raise Broken(f"{kind.__name__} lacks @dataclass(frozen=True), so that its key does not hold its options")
    if not isinstance(kind.version, int) or kind.version < 1:
        raise Broken(f"version = {kind.version!r}; it must be a whole number from 1")
    if not (kind.__doc__ or "").strip() or str(kind.__doc__).startswith(f"{kind.__name__}("):
        raise Broken("the class has no docstring")


def key_says_what_is_computed(case: RepresentationCase) -> None:
    """Its key follows from its options and version, and from nothing else."""
    representation = case.representation
    recipe = representation.recipe
    if recipe.get("version") != type(representation).version:
        raise Broken("the recipe does not hold the version")
    try:
        json.dumps(recipe)
    except TypeError as error:
        raise Broken(
            f"the recipe is not what JSON can hold ({error}), so its key may be another one each time"
        ) from error
    for other in (copy.deepcopy(representation), dataclasses.replace(representation)):
        if other.key != representation.key or other != representation:
            raise Broken("made again with the same options, it has another key or is not equal")
    for option, other in case.with_other_options():
        if other.key == representation.key:
            raise Broken(f"with another {option} it has the same key, so that stored arrays would be mistaken")


def gives_arrays(case: RepresentationCase) -> None:
    """It gives arrays of all crystals that fit their layouts."""
    _consistent(case.expected(), len(asked_crystals()))


def is_finite(case: RepresentationCase) -> None:
    """Values are finite, or the docstring says that they can be NaN."""
    _finite(case, case.expected())


def gives_the_same_again(case: RepresentationCase) -> None:
    """The same crystals give the same arrays, without regard to the global random state, which is left alone."""
    expected = case.expected()
    seed_all(3)
    before = random_state()
    again = case.representation(asked_crystals())
    after = random_state()
    same_arrays(expected, again, "computed twice", exactly=True)
    if drawn := [name for name, state in before.items() if after[name] != state]:
        raise Broken(f"it changes the global random state of {' and '.join(drawn)}")


def rows_stand_alone(case: RepresentationCase) -> None:
    """Each crystal's rows depend on that crystal alone."""
    crystals, expected = asked_crystals(), case.expected()
    order = np.random.default_rng(0).permutation(len(crystals))
    same_arrays(expected[order], case.representation(crystals[order]), "in another order")
    for row in (0, len(crystals) - 1):
        name = str(crystals.ids[row])
        same_arrays(expected[[row]], case.representation(crystals[[row]]), f"{name} alone and among others")
    rows = np.arange(5, 9)
    among = case.representation(joined([crystals[rows], large_cell(40, COMMON_Z)]))
    same_arrays(expected[rows], among[np.arange(len(rows))], "beside a larger crystal")


def ids_are_names(case: RepresentationCase) -> None:
    """Ids are names: other ids change nothing."""
    crystals = asked_crystals()
    others = Crystals.from_arrays({**crystals.to_arrays(), "ids": crystals.ids[::-1]})
    same_arrays(case.expected(), case.representation(others), "under other ids")


def changes_nothing(case: RepresentationCase) -> None:
    """It does not change the crystals."""
    case.expected()
    crystals = read_only(asked_crystals())
    before = digest_of(crystals.to_arrays())
    try:
        case.representation(crystals)
    except ValueError as error:
        if "read-only" in str(error):
            raise Broken(f"it writes to them ({error})") from error
        raise
    if digest_of(crystals.to_arrays()) != before:
        raise Broken("they are others afterwards")


def can_be_stored(case: RepresentationCase) -> None:
    """Its arrays can be stored and read again."""
    expected = case.expected()
    with tempfile.TemporaryDirectory() as scratch:
        stored, meta = expected.to_storage()
        try:
            save_arrays(Path(scratch) / "arrays", stored, meta)
        except (TypeError, ValueError, OSError) as error:
            raise Broken(f"they cannot be written: {error}") from error
        read = Arrays.from_storage(*load_arrays(Path(scratch) / "arrays"))
        same_arrays(expected, read, "stored and read", exactly=True)


def compositions_are_answered(case: RepresentationCase) -> None:
    """Compositions are represented, or refused with a DataError."""
    case.expected()
    compositions: Compositions = asked_crystals().compositions()
    try:
        arrays = case.representation(compositions)
    except DataError:
        return
    _consistent(arrays, len(compositions))
    rows = np.array([4, 1])
    same_arrays(arrays[rows], case.representation(compositions[rows]), "for some compositions and for all")


def strange_crystals_are_answered(case: RepresentationCase) -> None:
    """Strange crystals (elements to Z = 103, an isolated atom, 200 atoms) are represented, or refused by id."""
    case.expected()
    for crystals in (single_atoms(), isolated_atom(), large_cell()):
        _answered(case, crystals)


def _answered(case: RepresentationCase, crystals: Crystals) -> None:
    """Crystals are represented, but for those that are refused by id."""
    try:
        arrays = case.representation(crystals)
    except DataError as error:
        refused = np.array([str(name) in str(error) for name in crystals.ids])
        if not refused.any():
            raise Broken(f"refused without an id: {error}") from error
        _answered(case, crystals[~refused])
    else:
        _consistent(arrays, len(crystals))
        _finite(case, arrays)


def _consistent(arrays: Arrays, crystals: int) -> None:
    if len(arrays) != crystals:
        raise Broken(f"{crystals} crystals give arrays of {len(arrays)}")
    if set(arrays.layouts) != set(arrays.values):
        raise Broken(f"there are layouts of {sorted(arrays.layouts)} for arrays {sorted(arrays.values)}")
    for level, offsets in arrays.offsets.items():
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise Broken(f"the offsets of level {level!r} do not ascend from 0")
    for name, layout in arrays.layouts.items():
        if layout.points_to is not None:
            _points_within(arrays, name, layout.level, layout.points_to)


def _points_within(arrays: Arrays, name: str, level: str, points_to: str) -> None:
    """Indices of an array count from the crystal's own first row, and stay within its rows."""
    values = arrays.values[name]
    if values.dtype.kind not in "iu":
        raise Broken(f"{name!r} points to {points_to!r} and holds {values.dtype}, not whole numbers")
    ones = np.ones(len(arrays), dtype=np.int64)
    rows = ones if level == CRYSTAL else np.diff(arrays.offsets[level])
    targets = ones if points_to == CRYSTAL else np.diff(arrays.offsets[points_to])
    bounds = np.repeat(targets, rows).reshape(-1, *[1] * (values.ndim - 1))
    if ((values < 0) | (values >= bounds)).any():
        raise Broken(f"{name!r} points outside of its crystal's rows of {points_to!r}")


def _finite(case: RepresentationCase, arrays: Arrays) -> None:
    for name, array in arrays.values.items():
        if array.dtype.kind == "f":
            bad: Any = np.isinf(array) if case.may_be_nan else ~np.isfinite(array)
            if bad.any():
                raise Broken(
                    f"{name!r} holds {array[bad][0]}" + ("" if case.may_be_nan else "; say so in the docstring")
                )


PROMISES = (
    is_a_frozen_dataclass,
    key_says_what_is_computed,
    gives_arrays,
    is_finite,
    gives_the_same_again,
    rows_stand_alone,
    ids_are_names,
    changes_nothing,
    can_be_stored,
    compositions_are_answered,
    strange_crystals_are_answered,
)
