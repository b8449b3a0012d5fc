"""The global random state of Python, NumPy and torch."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def random_state() -> dict[str, Any]:
    """What the global generators would draw next; torch's where it is imported."""
    kind, keys, position, *rest = np.random.get_state()  # noqa: NPY002  (the global one is what is looked at)
    state: dict[str, Any] = {"random": random.getstate(), "numpy": (kind, tuple(keys), position, *rest)}
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return state


def seed_all(seed: int) -> None:
    """Seed the global generators, as whatever ran before might have done."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Leave the global generators as they were found."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    state = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(state)
