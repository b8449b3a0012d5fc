"""Views: what a model may see. A view removes one kind of information from crystals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crystalbench import plugins
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError

GROUP = "crystalbench.data.views"
FULL = "full"


@dataclass(frozen=True)
class View:
    """A named function that maps crystals to crystals with the same ids and numbers of atoms.

    Attributes:
        name: name in records and tables.
        removes: the information that is removed, for tables, e.g. ``the density``.
        apply: the function.
        version: increase it when the function changes, so that runs are repeated.

    Raises:
        ConfigError: the name contains characters other than letters, digits, ``_`` and ``.``.
    """

    name: str
    removes: str
    apply: Callable[[Crystals], Crystals]
    version: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.]+", self.name):
            raise ConfigError(f"view {self.name!r}: its name may contain only letters, digits, _ and .")

    def __call__(self, crystals: Crystals) -> Crystals:
        """Apply the view.

        Raises:
            ConfigError: the function changed ids or numbers of atoms.
        """
        seen = self.apply(crystals)
        if not (np.array_equal(seen.ids, crystals.ids) and np.array_equal(seen.offsets, crystals.offsets)):
            raise ConfigError(f"view {self.name!r} changes ids or numbers of atoms; a view must keep both")
        return seen


def _identity(crystals: Crystals) -> Crystals:
    return crystals


def _without_chemistry(crystals: Crystals) -> Crystals:
    carbon = np.full_like(crystals.numbers, 6)
    return Crystals(crystals.lattices, crystals.frac_coords, carbon, crystals.offsets, crystals.ids)


def _without_density(crystals: Crystals) -> Crystals:
    volumes = 20.0 * crystals.atom_counts  # Å^3
    lattices = crystals.lattices * np.cbrt(volumes / crystals.volumes)[:, None, None]
    return Crystals(lattices, crystals.frac_coords, crystals.numbers, crystals.offsets, crystals.ids)


full = View(FULL, "nothing", _identity)
no_chemistry = View("no_chemistry", "the elements: every atom is carbon", _without_chemistry)
no_density = View("no_density", "the density: every cell is scaled to 20 Å³ per atom", _without_density)


def view_names() -> list[str]:
    """Names of all registered views, sorted."""
    return sorted(plugins.registered(GROUP))


def get_view(name: str) -> View:
    """Find a view by its registered name, or by its location ``package.module:name`` or ``path/to/file.py:name``.

    Raises:
        UnknownNameError: no view is registered under this name.
        ConfigError: the location cannot be imported, or the object is not a view.
    """
    found = plugins.load(GROUP, "view", name)
    if not isinstance(found, View):
        raise ConfigError(f"view {name!r} is {found!r}, not a crystalbench.data.View")
    return found
