"""The fit of a network in checkpoints: the trainer, and the random generators that the rest of the fit depends on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from crystalbench.models.model import Runtime

DEVICES = ("cpu", "cuda")
"""Devices whose random generators can be saved."""

log = logging.getLogger(__name__)


class Resumable(Protocol):
    """What goes on where its state says, such as `crystalbench.models.training.Trainer`."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that what follows depends on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class SavedFit:
    """The checkpoints of a fit of the shared trainer; does nothing for a runtime without checkpoint.

    Args:
        runtime: of the model that is fitted.
        trainer: what is saved and restored.
    """

    def __init__(self, runtime: Runtime, trainer: Resumable) -> None:
        self._trainer, self._device = trainer, runtime.device
        self._checkpoint = runtime.checkpoint if runtime.device.partition(":")[0] in DEVICES else None
        self._facts = {"device": runtime.device, "threads": runtime.threads, "seed": runtime.seed}

    def resume(self) -> tuple[int, dict[str, float]]:
        """Restore trainer and random generators from a checkpoint.

        Returns:
            The next epoch, and the numbers that `save_if_due` was given; none at the beginning of a fit.
        """
        saved = None if self._checkpoint is None else self._checkpoint.read(self._all_facts())
        if saved is None:
            return 1, {}
        self._trainer.load_state_dict(saved["trainer"])
        self._set_random_states(saved["random"])
        log.info("the fit goes on after epoch %d, where it was interrupted", saved["epoch"])
        return saved["epoch"] + 1, saved["numbers"]

    def save_if_due(self, epoch: int, **numbers: float) -> None:
        """Write a checkpoint after an epoch, if the last one is old enough.

        Args:
            epoch: the epoch that has ended.
            **numbers: what else the rest of the fit depends on.
        """
        if self._checkpoint is None or not self._checkpoint.is_due():
            return
        state = {
            "trainer": self._trainer.state_dict(),
            "random": self._random_states(),
            "epoch": epoch,
            "numbers": numbers,
        }
        self._checkpoint.write(self._all_facts(), state)

    def _all_facts(self) -> dict[str, Any]:
        return {**self._facts, "torch": str(torch.__version__), "numpy": np.__version__}

    def _random_states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self._device)] if self._device.startswith("cuda") else states

    def _set_random_states(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device.startswith("cuda"):
            torch.cuda.set_rng_state(states[1], self._device)
