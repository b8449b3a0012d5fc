"""Potential: energies, forces, stresses and atom features of crystals, from any interatomic potential."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench import plugins
from crystalbench.data.checks import refuse
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.source_code import local_digest

Floats = npt.NDArray[np.float64]

GROUP = "crystalbench.potentials"
"""Entry-point group in which potentials are registered."""

GPA = 160.2176634
"""One eV/Å³ in GPa."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a potential says about n crystals.

    Attributes:
        energies: (n,) energies of the cells in eV.
        forces: (atoms, 3) forces in eV/Å.
        stresses: (n, 3, 3) stresses in GPa: the derivative of the energy with respect to strain, divided by the volume,
            so that a compressed crystal has a negative trace.
        features: (atoms, d) learned features of the atoms, invariant to rotation; d is 0 for a potential without any.
    """

    energies: Floats
    forces: Floats
    stresses: Floats
    features: Floats

    @classmethod
    def concatenated(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """The crystals of several evaluations, in order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


class Potential(ABC):
    """An interatomic potential with fixed parameters.

    A subclass defines `_evaluate` and the attributes below. It is registered in the entry-point group
    ``crystalbench.potentials``, or named by its place, ``package.module:Class`` or ``path/to/file.py:Class``. It is
    created without arguments, and loads its weights when it is first called. A calculator of ASE is adapted by
    `crystalbench.representations.potentials.ASEPotential`.

    Results must not depend on the batch that a crystal is evaluated in, up to round-off, nor on the network: weights
    come with an installed package or from a file of the user.

    Attributes:
        version: increase it when the numbers change for another reason than a new version of a package.
        packages: installed packages that determine the numbers.
        pretrained_on: names of the data sets that the potential was fitted to, as in
            `crystalbench.evaluation.pretraining`.
        extra: the extra of CrystalBench that installs what the potential needs; None for none.
        elements: atomic numbers that the potential knows.
        features: number of learned features of an atom.
        batch_atoms: largest number of atoms evaluated at once; a larger cell is evaluated by itself.
    """

    version: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ()
    pretrained_on: ClassVar[frozenset[str]] = frozenset()
    extra: ClassVar[str | None] = None
    elements: ClassVar[frozenset[int]] = frozenset(range(1, 119))
    features: ClassVar[int] = 0
    batch_atoms: ClassVar[int] = 64

    @abstractmethod
    def _evaluate(self, crystals: Crystals) -> Evaluation:
        """Evaluate at least one crystal of known elements, in one batch.

        Raises:
            DataError: a crystal cannot be evaluated; names its id.
        """

    def __call__(self, crystals: Crystals) -> Evaluation:
        """Evaluate n crystals.

        Raises:
            DataError: a crystal contains an element that the potential does not know, or cannot be evaluated, or a
                result is not finite; names the ids.
        """
        if not len(crystals):
            return Evaluation(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, self.features)))
        unknown = ~np.isin(crystals.numbers, list(self.elements))
        name = type(self).__name__
        refuse(crystals.ids[crystals.owners], unknown, f"contains an element that {name} does not know")
        found = Evaluation.concatenated([self._evaluate(crystals[rows]) for rows in self._batches(crystals)])
        bad = ~np.isfinite(found.energies) | ~np.isfinite(found.stresses).all((1, 2))
        per_atom = ~np.isfinite(found.forces).all(1) | ~np.isfinite(found.features).all(1)
        refuse(crystals.ids, bad, f"has an energy or a stress that is not finite, according to {name}")
        refuse(crystals.ids[crystals.owners], per_atom, f"has forces or features that are not finite ({name})")
        return found

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the numbers, except the crystals."""
        module = type(self).__module__
        recipe: dict[str, Any] = {
            "potential": f"{module}:{type(self).__qualname__}",
            "version": self.version,
            "packages": {name: _version_of(name, self.extra) for name in self.packages},
        }
        return recipe if module.startswith("crystalbench.") else recipe | {"code": local_digest(type(self))}

    def _batches(self, crystals: Crystals) -> Iterator[slice]:
        """Slices of crystals with at most `batch_atoms` atoms, or of one larger crystal."""
        start, atoms = 0, 0
        for row, count in enumerate(crystals.atom_counts.tolist()):
            if row > start and atoms + count > self.batch_atoms:
                yield slice(start, row)
                start, atoms = row, 0
            atoms += count
        yield slice(start, len(crystals))


def potential_names() -> list[str]:
    """Names of all registered potentials."""
    return sorted(plugins.registered(GROUP))


def get_potential(name: str) -> Potential:
    """The potential of a registered name, of ``package.module:Class`` or of ``path/to/file.py:Class``.

    The same object is returned at every call, so that weights are loaded once in a process.

    Raises:
        UnknownNameError: no potential has this name.
        ConfigError: it cannot be imported, is not a potential, or needs an extra that is not installed.
    """
    found = plugins.load(GROUP, "potential", name)
    if not (inspect.isclass(found) and issubclass(found, Potential)) or inspect.isabstract(found):
        raise ConfigError(
            f"potential {name!r} is {found!r}; it must be a subclass of "
            "crystalbench.representations.potentials.Potential that defines _evaluate"
        )
    plugins.require_extra(found.extra, f"the potential {name!r}")
    return _made(found)


@functools.cache
def _made(kind: type[Potential]) -> Potential:
    return kind()


def _version_of(package: str, extra: str | None) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        remedy = "" if extra is None else f"; run: pip install 'crystalbench[{extra}]'"
        raise ConfigError(f"a potential needs {package}, which is not installed{remedy}") from error
