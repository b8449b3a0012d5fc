"""Resources: the device, threads and processes that runs use, and how many worker processes suit this machine.

By default there are as many workers as usable cores, each with one thread. OpenMP threads wait for each other by
spinning, which is slow in small operations as soon as another process needs a core: 20 epochs of cgcnn on fold 0 of
matbench_phonons took 2.8 s with one thread and 217.9 s with two, on two cores with one other process running.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from crystalbench.representations.processes import usable_cores

__all__ = ["Reservation", "Resources", "let_threads_sleep", "number_of_workers", "thread_variables", "usable_cores"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


@dataclass(frozen=True)
class Resources:
    """What each run may use.

    Attributes:
        device: torch device, e.g. ``cpu`` or ``cuda``.
        threads: threads of a fit.
        processes: processes that may compute a representation.
        concurrent: processes that compute runs at the same time, this one included.
    """

    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    concurrent: int = 1


@dataclass(frozen=True)
class Reservation:
    """What a run reserves on a cluster; other engines ignore it.

    Attributes:
        cpus: number of CPUs, possibly a fraction; None for as many as the run has threads.
        gpus: number of GPUs, possibly a fraction: with 0.25, four runs share a GPU. None for one if the device of the
            command is a GPU, and for none otherwise.
    """

    cpus: float | None = None
    gpus: float | None = None

    def of(self, resources: Resources) -> tuple[float, float]:
        """The numbers of CPUs and of GPUs of a run with these resources."""
        gpus = float(resources.device.startswith("cuda")) if self.gpus is None else self.gpus
        return float(resources.threads if self.cpus is None else self.cpus), gpus

    def device(self, resources: Resources) -> str:
        """The torch device of the run: a GPU if it reserves one.

        Examples:
            >>> Reservation(gpus=0.25).device(Resources("cpu"))
            'cuda'
            >>> Reservation(gpus=0).device(Resources("cuda"))
            'cpu'
        """
        gpus, is_cuda = self.of(resources)[1], resources.device.startswith("cuda")
        if gpus:
            return "cuda"  # the first GPU that a process sees is the one that it was given
        return "cpu" if is_cuda else resources.device


def number_of_workers(missing: int, resources: Resources, requested: int | None = None, *, tuned: bool = False) -> int:
    """How many worker processes compute the missing runs; with one, they are computed in this process.

    Args:
        missing: number of runs without a record.
        resources: of each run. A device other than the CPU gets one worker unless more are requested.
        requested: number of workers that the user requested.
        tuned: whether runs are tuned. Several workers can share the tuning of one run, so there may be more of them
            than missing runs if they are requested.

    Examples:
        >>> number_of_workers(1, Resources())
        1
        >>> number_of_workers(10, Resources(), requested=4)
        4
        >>> number_of_workers(2, Resources(), requested=4)
        2
    """
    if requested is not None and tuned:
        return requested if missing else 1
    if requested is None:
        requested = usable_cores() // resources.threads if resources.device == "cpu" else 1
    return max(1, min(requested, missing))


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables of a new process that hold its numerical libraries to a number of threads.

    With more than one thread, OpenMP threads are also told to sleep instead of spinning while they wait.
    """
    return dict.fromkeys(_THREADS, str(threads)) | (_PASSIVE if threads > 1 else {})


def let_threads_sleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Let the OpenMP threads of this process sleep while they wait. Effective only before torch is imported.

    Values that the user has set are kept.
    """
    variables: MutableMapping[str, str] = os.environ if environment is None else environment
    defaults: Mapping[str, str] = _PASSIVE
    for name, value in defaults.items():
        variables.setdefault(name, value)
