"""What an interrupted fit of a stack has saved, so that its members are not fitted again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.samples import Predictions
from crystalbench.errors import SavingError
from crystalbench.models import checkpoints

if TYPE_CHECKING:
    from crystalbench.models.checkpoints import Checkpoint
    from crystalbench.models.model import Model, Runtime

log = logging.getLogger(__name__)


class SavedPredictions:
    """The out-of-fold predictions of an interrupted fit.

    Args:
        runtime: of the stack; without a checkpoint, nothing is saved.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._facts = _facts(runtime)
        self._checkpoint: Checkpoint | None = None
        self._state: dict[str, Any] = {}
        if runtime.checkpoint is not None:
            self._checkpoint = runtime.checkpoint.stage("out-of-fold")
            self._state = self._checkpoint.read(self._facts) or {}

    def get(self, place: int) -> Predictions | None:
        """The predictions of one fit; None if they were not saved."""
        if (found := self._state.get(str(place))) is None:
            return None
        values, std = found
        return Predictions(np.array(values), None if std is None else np.array(std))

    def add(self, place: int, predictions: Predictions) -> None:
        """Add the predictions of one fit, and write all of them: the fit may have taken hours."""
        std = predictions.std
        self._state[str(place)] = [predictions.values.tolist(), None if std is None else std.tolist()]
        if self._checkpoint is not None:
            self._checkpoint.write(self._facts, self._state)


class SavedMember:
    """A member that an interrupted fit has fitted to all rows.

    Args:
        runtime: of the stack; without a checkpoint, nothing is saved.
        place: number of the fit.
    """

    def __init__(self, runtime: Runtime, place: int) -> None:
        self._facts = _facts(runtime)
        self._checkpoint = None if runtime.checkpoint is None else runtime.checkpoint.stage(f"fitted{place}")
        self._since = time.monotonic()

    def get(self) -> tuple[Mapping[str, npt.NDArray[Any]], Mapping[str, Any]] | None:
        """What the member has learned, as of `Model.state`; None if it was not saved."""
        if self._checkpoint is None or (found := self._checkpoint.read(self._facts)) is None:
            return None
        from safetensors.numpy import load as arrays_from_bytes

        return arrays_from_bytes(found["arrays"].numpy().tobytes()), json.loads(found["facts"])

    def add_if_worthwhile(self, model: Model) -> None:
        """Write what a member has learned, if its fit has taken longer than the time between two checkpoints.

        A model that cannot be saved is fitted again after an interruption.
        """
        if self._checkpoint is None or time.monotonic() - self._since < checkpoints.EVERY_SECONDS:
            return
        import torch  # here, because it is slow to import

        from crystalbench.models.saving import to_bytes

        try:
            arrays, facts = model.state()
            state = {
                "arrays": torch.frombuffer(bytearray(to_bytes(type(model).__name__, arrays)), dtype=torch.uint8),
                "facts": json.dumps(facts),
            }
        except (SavingError, TypeError) as error:
            log.debug("a member of a stack is not saved: %s", error)
        else:
            self._checkpoint.write(self._facts, state)


def _facts(runtime: Runtime) -> dict[str, Any]:
    return {"device": runtime.device, "threads": runtime.threads, "seed": runtime.seed}
