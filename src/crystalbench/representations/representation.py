"""Representation: a stateless function from crystals (or compositions) to arrays."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from crystalbench.errors import ConfigError
from crystalbench.plugins import source_digest

if TYPE_CHECKING:
    from crystalbench.data.crystals import Inputs
    from crystalbench.representations.arrays import Arrays


@dataclass(frozen=True)
class Representation(ABC):
    """A stateless function from crystals or compositions to `Arrays`, row by row.

    A subclass is a frozen dataclass of its options. Each row of the result depends on its own crystal alone: nothing is
    fitted, so it may be computed once for a whole task without leaking anything. What has to be fitted (scaling,
    imputation) belongs into a model's `fit`.

    Attributes:
        version: raise it when the numbers change, so that stored results are computed again.
        packages: installed packages that the numbers come from; stored results are computed again under other versions.
    """

    version: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, inputs: Inputs) -> Arrays:
        """Compute the arrays of n crystals.

        Raises:
            DataError: a crystal cannot be represented; names its id.
        """

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result, beside the crystals.

        Of a class that is not CrystalBench's own, the SHA-256 of its file is part of it, since its author changes it
        without raising the version.
        """
        module = type(self).__module__
        recipe: dict[str, Any] = {
            "representation": f"{module}:{type(self).__qualname__}",
            "version": self.version,
            "packages": {name: _version_of(name) for name in self.packages},
            "options": dataclasses.asdict(self),
        }
        return recipe if module.startswith("crystalbench.") else recipe | {"code": source_digest(type(self))}

    @property
    def key(self) -> str:
        """Hash of the recipe.

        Raises:
            ConfigError: an option is not what JSON can hold.
        """
        try:
            text = json.dumps(self.recipe, sort_keys=True)
        except TypeError as error:
            raise ConfigError(f"{type(self).__name__}: its options must be what JSON can hold ({error})") from error
        return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _version_of(package: str) -> str:
    return importlib.metadata.version(package)
