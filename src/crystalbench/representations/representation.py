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
from crystalbench.source_code import local_digest

if TYPE_CHECKING:
    from crystalbench.data.crystals import Inputs
    from crystalbench.representations.arrays import Arrays


@dataclass(frozen=True)
class Representation(ABC):
    """A stateless function from crystals or compositions to `Arrays`, row by row.

    A subclass is a frozen dataclass of its options. Each row of the result depends on its own crystal only. Since
    nothing is fitted, a representation can be computed once for a complete task without leaking information between
    folds. What has to be fitted (scaling, imputation) belongs in the `fit` of a model.

    Attributes:
        version: increase it when the numbers change, so that cached arrays are recomputed.
        packages: installed packages that determine the numbers; cached arrays are recomputed when their versions
            change.
    """

    version: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, inputs: Inputs) -> Arrays:
        """Compute the arrays of n crystals or compositions.

        Raises:
            DataError: a crystal cannot be represented; names its id.
        """

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result, except the crystals.

        For classes of other packages and files, it includes the SHA-256 of the file, since authors change code without
        raising the version.
        """
        module = type(self).__module__
        recipe: dict[str, Any] = {
            "representation": f"{module}:{type(self).__qualname__}",
            "version": self.version,
            "packages": {name: _version_of(name) for name in self.packages},
            "options": dataclasses.asdict(self),
        }
        return recipe if module.startswith("crystalbench.") else recipe | {"code": local_digest(type(self))}

    @property
    def key(self) -> str:
        """Hash of the recipe.

        Raises:
            ConfigError: an option cannot be written as JSON.
        """
        try:
            text = json.dumps(self.recipe, sort_keys=True)
        except TypeError as error:
            raise ConfigError(f"{type(self).__name__}: an option cannot be written as JSON ({error})") from error
        return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _version_of(package: str) -> str:
    return importlib.metadata.version(package)
