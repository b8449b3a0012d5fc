"""The class of views, and finding a view by name."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalbench import plugins
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.sees import Hidden

GROUP = "crystalbench.data.views"
FULL = "full"
JOINT = "+"

RETIRED = {
    "no_chemistry": "It did not hide the elements, which the volume per atom betrays, and raised the symmetry of many "
    "crystals; use anonymous+unit_density, or anonymous to keep the volume.",
    "no_density": "It is now called unit_density.",
}
"""Former names of views, and what replaced them."""


@dataclass(frozen=True)
class View:
    """A named function that maps crystals to crystals: the same rows with the same ids in the same order.

    The number of atoms of a crystal may change.

    Attributes:
        name: name in records and tables. Composed views are named by their parts, e.g. ``anonymous+unit_density``.
        removes: the information that is removed, for tables, e.g. ``the density``.
        apply: the function. What it makes of a crystal must depend on this crystal only.
        version: increase it when the function changes, so that runs are repeated.
        keeps: the information that is kept, for documentation.
        parts: the views that a composed view applies, from left to right; empty for other views.
        hides: whether elements or structure are hidden entirely, so that leaderboards can say what a run saw; None if
            the view does not declare it.

    Raises:
        ConfigError: the name contains characters other than letters, digits, ``_`` and ``.``.
    """

    name: str
    removes: str
    apply: Callable[[Crystals], Crystals]
    version: int = 1
    keeps: str = ""
    parts: tuple[View, ...] = ()
    hides: frozenset[Hidden] | None = None

    def __post_init__(self) -> None:
        if not self.parts and not re.fullmatch(r"[A-Za-z0-9_.]+", self.name):
            raise ConfigError(f"view {self.name!r}: its name may contain only letters, digits, _ and .")

    def __call__(self, crystals: Crystals) -> Crystals:
        """Apply the view.

        Raises:
            ConfigError: the function changed the rows, their ids or their order.
        """
        seen = self.apply(crystals)
        if not np.array_equal(seen.ids, crystals.ids):
            raise ConfigError(f"view {self.name!r} changes rows or ids; a view must keep rows, ids and their order")
        return seen


@dataclass(frozen=True)
class _Sequence:
    """Applies views from left to right."""

    views: tuple[View, ...]

    def __call__(self, crystals: Crystals) -> Crystals:
        for view in self.views:
            crystals = view(crystals)
        return crystals


def compose(*views: View) -> View:
    """One view that applies several from left to right; the same object for the same views.

    Its version grows with the version of every part. ``full`` adds nothing and is left out.

    Raises:
        ConfigError: there are no views.
    """
    if not views:
        raise ConfigError("a composed view needs at least one view")
    parts = [part for view in views for part in (view.parts or (view,))]
    parts = [part for part in parts if part.name != FULL] or parts[:1]
    return parts[0] if len(parts) == 1 else _composed(tuple(parts))


@functools.cache
def _composed(parts: tuple[View, ...]) -> View:
    return View(
        JOINT.join(part.name for part in parts),
        "; then ".join(part.removes for part in parts),
        _Sequence(parts),
        version=1 + sum(part.version - 1 for part in parts),
        parts=parts,
        hides=_hidden_by(parts),
    )


def _hidden_by(parts: tuple[View, ...]) -> frozenset[Hidden] | None:
    """What any of several views hides; None if one does not declare it."""
    hidden: frozenset[Hidden] = frozenset()
    for part in parts:
        if part.hides is None:
            return None
        hidden |= part.hides
    return hidden


def view_names() -> list[str]:
    """Names of all registered views, sorted."""
    return sorted(plugins.registered(GROUP))


def parts_of(name: str) -> list[str]:
    """The names of the views that a name joins with ``+``. The path of an existing file may contain ``+`` itself.

    Raises:
        ConfigError: a part is empty.
    """
    place, _, attribute = name.rpartition(":")
    if attribute.isidentifier() and Path(place).is_file():
        return [name]
    parts = [part.strip() for part in name.split(JOINT)]
    if not all(parts):
        raise ConfigError(f"view {name!r}: a name is missing before or after '+'; write e.g. anonymous+unit_density")
    return parts


def is_registered(name: str) -> bool:
    """Whether a name is that of a registered view, or joins such names with ``+``."""
    return set(name.split(JOINT)) <= set(view_names())


def get_view(name: str) -> View:
    """Find a view by its registered name, or by its location ``package.module:name`` or ``path/to/file.py:name``.

    Names joined with ``+`` are one view that applies the others from left to right: ``anonymous+unit_density``.

    Raises:
        UnknownNameError: no view is registered under this name.
        ConfigError: the location cannot be imported, the object is not a view, or a part of the name is empty.
    """
    return compose(*(_single_view(part) for part in parts_of(name)))


def _single_view(name: str) -> View:
    if name in RETIRED and name not in (known := view_names()):
        raise UnknownNameError("view", name, known, RETIRED[name])
    found = plugins.load(GROUP, "view", name)
    if not isinstance(found, View):
        raise ConfigError(f"view {name!r} is {found!r}, not a crystalbench.data.View")
    return found
