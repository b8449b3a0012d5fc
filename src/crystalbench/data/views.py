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
    """A named function from crystals to crystals with the same ids and atom counts.

    Attributes:
        name: name in records and tables.
        removes: what a model cannot see any more, in words.
        apply: the function.
        version: raise it when the function changes, so that runs are done again.
    """

    name: str
    removes: str
    apply: Callable[[Crystals], Crystals]
    version: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.]+", self.name):
            raise ConfigError(f"view {self.name!r}: a name has letters, digits, _ and . only")

    def __call__(self, crystals: Crystals) -> Crystals:
        """The crystals as this view shows them.

        Raises:
            ConfigError: the function changed ids or numbers of atoms, which no view may.
        """
        seen = self.apply(crystals)
        if not (np.array_equal(seen.ids, crystals.ids) and np.array_equal(seen.offsets, crystals.offsets)):
            raise ConfigError(f"view {self.name!r} changes ids or numbers of atoms; a view may only remove information")
        return seen


def _identity(crystals: Crystals) -> Crystals:
    return crystals


def _without_chemistry(crystals: Crystals) -> Crystals:
    carbon = np.full_like(crystals.numbers, 6)
    return Crystals(crystals.lattices, crystals.frac_coords, carbon, crystals.offsets, crystals.ids)


def _without_density(crystals: Crystals) -> Crystals:
    wanted = 20.0 * crystals.atom_counts  # Å^3
    lattices = crystals.lattices * np.cbrt(wanted / crystals.volumes)[:, None, None]
    return Crystals(lattices, crystals.frac_coords, crystals.numbers, crystals.offsets, crystals.ids)


full = View(FULL, "nothing", _identity)
no_chemistry = View("no_chemistry", "the elements: every atom is carbon", _without_chemistry)
no_density = View("no_density", "the density: every cell is scaled to 20 Å³ per atom", _without_density)


def view_names() -> list[str]:
    """Names of all registered views."""
    return sorted(plugins.registered(GROUP))


def get_view(name: str) -> View:
    """The view of a registered name or of ``package.module:name``.

    Raises:
        UnknownNameError: no view has this name.
        ConfigError: it is not a view.
    """
    found = plugins.load(GROUP, "view", name)
    if not isinstance(found, View):
        raise ConfigError(f"view {name!r} is {found!r}; it must be a crystalbench.data.views.View")
    return found
