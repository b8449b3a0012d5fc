"""Representation: a stateless function from crystals (or compositions) to arrays."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from crystalbench.crystals import Inputs
    from crystalbench.representations.arrays import Arrays


@dataclass(frozen=True)
class Representation(ABC):
    """A stateless function from crystals or compositions to `Arrays`, row by row.

    A subclass is a frozen dataclass of its options. Each row of the result depends on its own crystal alone: nothing is
    fitted, so it may be computed once for a whole task without leaking anything. What has to be fitted (scaling,
    imputation) belongs into a model's `fit`.

    Attributes:
        version: raise it when the numbers change, so that stored results are computed again.
    """

    version: ClassVar[int] = 1

    @abstractmethod
    def __call__(self, inputs: Inputs) -> Arrays:
        """Compute the arrays of n crystals.

        Raises:
            DataError: a crystal cannot be represented; names its id.
        """

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result, beside the crystals."""
        kind = f"{type(self).__module__}:{type(self).__qualname__}"
        return {"representation": kind, "version": self.version, "options": dataclasses.asdict(self)}

    @property
    def key(self) -> str:
        """Hash of the recipe."""
        text = json.dumps(self.recipe, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
