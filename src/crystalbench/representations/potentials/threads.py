"""One thread for torch: faster for small crystals, and the same numbers everywhere; random numbers as before."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def single_threaded(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Let a function use one thread of torch; the number of threads and the random state are restored afterwards.

    Loading a network draws initial weights. Without this, what is trained next would depend on whether columns of a
    potential were computed or read from the cache.
    """

    @functools.wraps(function)
    def alone(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.random.fork_rng(devices=[]):
                return function(*args, **kwargs)
        finally:
            torch.set_num_threads(threads)

    return alone
