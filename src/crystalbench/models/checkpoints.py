"""Checkpoints of long fits: an interrupted fit goes on, with the numbers of one that was never interrupted.

A checkpoint contains everything that the rest of a fit depends on, the states of the random generators included. It is
used only by the same fit: facts about it (the key of the run, the code, the versions, the device, the threads) are
compared first. It is written between two epochs, so an interruption costs at most a minute and an epoch; a stack writes
one after each fit of a member.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crystalbench._files import write_bytes

EVERY_SECONDS = 60.0
"""Time between two checkpoints of a network, and before the first one; shorter fits write none."""

_DIGEST_BYTES = 32

log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """The file in which one fit is saved while it goes on.

    Attributes:
        path: the file; its folder is created when it is first written.
        facts: what identifies the fit. A checkpoint with other facts is ignored.
    """

    path: Path
    facts: Mapping[str, Any]
    _earlier_seconds: float = field(default=0.0, init=False)
    _stages: list[Checkpoint] = field(default_factory=list, init=False)
    _since: float = field(default=0.0, init=False)
    _due: float = field(default=0.0, init=False)

    @property
    def earlier_seconds(self) -> float:
        """Time that interrupted attempts at the fit and its stages took; known after `read`."""
        return self._earlier_seconds + sum(stage.earlier_seconds for stage in self._stages)

    def stage(self, name: str) -> Checkpoint:
        """The checkpoint of an earlier stage of the same fit, in a file of its own.

        Args:
            name: name of the stage.
        """
        stage = Checkpoint(self.path.with_suffix(f".{name}{self.path.suffix}"), {**self.facts, "stage": name})
        self._stages.append(stage)
        return stage

    def read(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """Begin the fit: read what an interrupted attempt has saved.

        Args:
            facts: further facts that identify the fit.

        Returns:
            What `write` was given; None if there is no checkpoint of this fit. A damaged one is ignored with a
            warning.
        """
        self._since = time.monotonic()
        self._due = self._since + EVERY_SECONDS
        if not self.path.exists():
            return None
        try:
            saved = _unpacked(self.path.read_bytes())
        except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            log.warning("%s: is a damaged checkpoint (%s); the fit starts again", self.path, error)
            return None
        expected = {**self.facts, **facts}
        if other := sorted(name for name in expected if saved["facts"].get(name) != expected[name]):
            log.warning("%s: is of a fit with another %s; the fit starts again", self.path, ", ".join(other))
            return None
        self._earlier_seconds = saved["seconds"]
        state: dict[str, Any] = saved["state"]
        return state

    def is_due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() >= self._due

    def write(self, facts: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write a checkpoint atomically. If that fails, a warning is logged, and no other one is written.

        Args:
            facts: as for `read`.
            state: tensors, numbers, texts, and lists and dictionaries of them.
        """
        if math.isinf(self._due):
            return
        seconds = self._earlier_seconds + time.monotonic() - self._since
        try:
            write_bytes(self.path, _packed({"facts": {**self.facts, **facts}, "seconds": seconds, "state": state}))
        except OSError as error:
            log.warning("%s: the checkpoint cannot be written (%s); the fit goes on without", self.path, error)
            self._due = math.inf
        else:
            self._due = time.monotonic() + EVERY_SECONDS


def _packed(content: Mapping[str, Any]) -> bytes:
    import torch  # here, because it is slow to import

    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    return hashlib.sha256(payload).digest() + payload


def _unpacked(data: bytes) -> Any:
    """Inverse of `_packed`.

    Raises:
        ValueError: the data has changed since it was packed.
    """
    import torch

    digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError("its digest is wrong")
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
