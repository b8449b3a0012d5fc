"""Isolation of checks: they change neither the global random state nor the log."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.data.flat import digest_of
from crystalbench.testing.crystals import read_only
from crystalbench.testing.report import CheckFailure


def random_state() -> dict[str, Any]:
    """State of the global generators of Python, NumPy and, if it is imported, torch; by name, comparable."""
    kind, keys, position, *rest = np.random.get_state()  # noqa: NPY002  (the global generator is what matters here)
    state: dict[str, Any] = {"random": random.getstate(), "numpy": (kind, tuple(keys), position, *rest)}
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return state


def seed_all(seed: int) -> None:
    """Seed the global generators, as code that ran before might have done."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextmanager
def unchanged_random_state(what: str) -> Iterator[None]:
    """Check that the code within leaves the global generators alone.

    Raises:
        CheckFailure: it does not.
    """
    before = random_state()
    yield
    after = random_state()
    if changed := [name for name, state in before.items() if after[name] != state]:
        raise CheckFailure(f"{what} changes the global random state of {' and '.join(changed)}")


@contextmanager
def isolated() -> Iterator[None]:
    """Restore the global generators afterwards, and log no warnings about the edge cases among the crystals."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    state = torch.get_rng_state() if torch else None
    logger = logging.getLogger("crystalbench")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(state)


def require_unmodified(function: Callable[[Crystals], object], crystals: Crystals) -> None:
    """Call a function with a read-only copy of crystals.

    Raises:
        CheckFailure: it writes to them.
    """
    copy = read_only(crystals)
    before = digest_of(copy.to_arrays())
    try:
        function(copy)
    except ValueError as error:
        if "read-only" in str(error):
            raise CheckFailure(f"it writes to them ({error})") from error
        raise
    if digest_of(copy.to_arrays()) != before:
        raise CheckFailure("they differ afterwards")
