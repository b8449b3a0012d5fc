"""Checks of representations."""

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
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.errors import DataError
from crystalbench.representations import CRYSTAL, Arrays
from crystalbench.testing._isolation import require_unmodified, seed_all, unchanged_random_state
from crystalbench.testing._representation_case import COMMON_Z, RepresentationCase, common_crystals, require_equal
from crystalbench.testing.crystals import isolated_atom, large_cell, single_atoms
from crystalbench.testing.report import CheckFailure


def is_a_frozen_dataclass(case: RepresentationCase) -> None:
    """Class is a frozen dataclass with docstring and version."""
    kind = type(case.representation)
    own = [name for name, hint in inspect.get_annotations(kind).items() if "ClassVar" not in str(hint)]
    if "__dataclass_params__" not in vars(kind) and (own or "__init__" in vars(kind)):
        raise CheckFailure(f"{kind.__name__} lacks @dataclass(frozen=True), so its key does not depend on its options")
    if not isinstance(kind.version, int) or kind.version < 1:
        raise CheckFailure(f"version = {kind.version!r}; it must be an integer, at least 1")
    if not (kind.__doc__ or "").strip() or str(kind.__doc__).startswith(f"{kind.__name__}("):
        raise CheckFailure("the class has no docstring")


def key_follows_from_options(case: RepresentationCase) -> None:
    """Key follows from options and version only."""
    representation = case.representation
    recipe = representation.recipe
    if recipe.get("version") != type(representation).version:
        raise CheckFailure("the recipe lacks the version")
    try:
        json.dumps(recipe)
    except TypeError as error:
        raise CheckFailure(
            f"the recipe cannot be written as JSON ({error}), so the key may differ each time"
        ) from error
    for other in (copy.deepcopy(representation), dataclasses.replace(representation)):
        if other.key != representation.key or other != representation:
            raise CheckFailure("a copy with the same options is not equal or has another key")
    for option, other in case.with_other_options():
        if other.key == representation.key:
            raise CheckFailure(f"the key does not depend on {option}, so the cache would return wrong arrays")


def arrays_fit_their_layouts(case: RepresentationCase) -> None:
    """Arrays fit their layouts.

    All crystals are there, offsets ascend, and indices stay within their crystal.
    """
    _consistent(case.expected(), len(common_crystals()))


def values_are_finite(case: RepresentationCase) -> None:
    """Values are finite, or NaN if the docstring mentions it."""
    _finite(case, case.expected())


def repeated_calls_are_identical(case: RepresentationCase) -> None:
    """Repeated calls give identical arrays.

    Whatever the global random state is, which is left alone.
    """
    expected = case.expected()
    seed_all(3)
    with unchanged_random_state("it"):
        require_equal(expected, case.representation(common_crystals()), "computed twice", exactly=True)


def crystals_are_independent(case: RepresentationCase) -> None:
    """Crystals are represented independently."""
    crystals, expected = common_crystals(), case.expected()
    order = np.random.default_rng(0).permutation(len(crystals))
    require_equal(expected[order], case.representation(crystals[order]), "in another order")
    for row in (0, len(crystals) - 1):
        name = str(crystals.ids[row])
        require_equal(expected[[row]], case.representation(crystals[[row]]), f"{name} alone and among others")
    rows = np.arange(5, 9)
    among = case.representation(concatenate([crystals[rows], large_cell(40, COMMON_Z)]))
    require_equal(expected[rows], among[np.arange(len(rows))], "together with a larger crystal")


def ids_have_no_influence(case: RepresentationCase) -> None:
    """Ids have no influence."""
    crystals = common_crystals()
    others = Crystals.from_arrays({**crystals.to_arrays(), "ids": crystals.ids[::-1]})
    require_equal(case.expected(), case.representation(others), "with other ids")


def crystals_are_not_modified(case: RepresentationCase) -> None:
    """Crystals are not modified."""
    case.expected()
    require_unmodified(case.representation, common_crystals())


def arrays_can_be_stored(case: RepresentationCase) -> None:
    """Arrays can be stored and read."""
    expected = case.expected()
    with tempfile.TemporaryDirectory() as scratch:
        stored, meta = expected.to_storage()
        try:
            save_arrays(Path(scratch) / "arrays", stored, meta)
        except (TypeError, ValueError, OSError) as error:
            raise CheckFailure(f"they cannot be written: {error}") from error
        read = Arrays.from_storage(*load_arrays(Path(scratch) / "arrays"))
        require_equal(expected, read, "stored and read", exactly=True)


def compositions_are_handled(case: RepresentationCase) -> None:
    """Compositions are represented, or refused by a DataError."""
    case.expected()
    compositions: Compositions = common_crystals().compositions()
    try:
        arrays = case.representation(compositions)
    except DataError:
        return
    _consistent(arrays, len(compositions))
    rows = np.array([4, 1])
    require_equal(arrays[rows], case.representation(compositions[rows]), "for a part of the compositions")


def edge_cases_are_handled(case: RepresentationCase) -> None:
    """Edge cases are represented, or refused by id.

    Single atoms of the elements up to Z = 103, an isolated atom, a cell of 200 atoms.
    """
    case.expected()
    for crystals in (single_atoms(), isolated_atom(), large_cell()):
        _require_handled(case, crystals)


def _require_handled(case: RepresentationCase, crystals: Crystals) -> None:
    """Crystals are represented, except those that an error names."""
    try:
        arrays = case.representation(crystals)
    except DataError as error:
        refused = np.array([str(name) in str(error) for name in crystals.ids])
        if not refused.any():
            raise CheckFailure(f"the error names no id: {error}") from error
        _require_handled(case, crystals[~refused])
    else:
        _consistent(arrays, len(crystals))
        _finite(case, arrays)


def _consistent(arrays: Arrays, crystals: int) -> None:
    if len(arrays) != crystals:
        raise CheckFailure(f"{crystals} crystals give arrays of {len(arrays)}")
    if set(arrays.layouts) != set(arrays.values):
        raise CheckFailure(f"layouts of {sorted(arrays.layouts)}, but arrays {sorted(arrays.values)}")
    for level, offsets in arrays.offsets.items():
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise CheckFailure(f"the offsets of level {level!r} do not ascend from 0")
    for name, layout in arrays.layouts.items():
        if layout.points_to is not None:
            _points_within(arrays, name, layout.level, layout.points_to)


def _points_within(arrays: Arrays, name: str, level: str, points_to: str) -> None:
    """Indices count from the crystal's own first row and stay within its rows."""
    values = arrays.values[name]
    if values.dtype.kind not in "iu":
        raise CheckFailure(f"{name!r} points to {points_to!r} and contains {values.dtype}, not integers")
    ones = np.ones(len(arrays), dtype=np.int64)
    rows = ones if level == CRYSTAL else np.diff(arrays.offsets[level])
    targets = ones if points_to == CRYSTAL else np.diff(arrays.offsets[points_to])
    bounds = np.repeat(targets, rows).reshape(-1, *[1] * (values.ndim - 1))
    if ((values < 0) | (values >= bounds)).any():
        raise CheckFailure(f"{name!r} points outside its crystal's rows of {points_to!r}")


def _finite(case: RepresentationCase, arrays: Arrays) -> None:
    for name, array in arrays.values.items():
        if array.dtype.kind == "f":
            bad: Any = np.isinf(array) if case.may_be_nan else ~np.isfinite(array)
            if bad.any():
                raise CheckFailure(
                    f"{name!r} contains {array[bad][0]}"
                    + ("" if case.may_be_nan else "; if that is intended, say so in the docstring")
                )


CHECKS = (
    is_a_frozen_dataclass,
    key_follows_from_options,
    arrays_fit_their_layouts,
    values_are_finite,
    repeated_calls_are_identical,
    crystals_are_independent,
    ids_have_no_influence,
    crystals_are_not_modified,
    arrays_can_be_stored,
    compositions_are_handled,
    edge_cases_are_handled,
)
