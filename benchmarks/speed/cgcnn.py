"""Throughput of CGCNN: the dense, factorised form against a plain network of PyTorch Geometric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.speed.phonons import NAME
from benchmarks.speed.rows import Measurement, Row, Settings
from benchmarks.speed.unflushed import unflushed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from crystalbench.representations import Arrays

_SIZES = "width 64, 3 layers, 12 neighbours, batch 256"
_SAME = "PyTorch Geometric CGConv with CGCNN's norms, the same function, DataLoader"


def our_measurement(arrays: Arrays, targets: np.ndarray, kind: str, threads: int) -> Measurement:
    """Our measurement.

    Args:
        arrays: graphs of n crystals.
        targets: (n,) standardised.
        kind: ``training`` or ``inference``.
        threads: of torch.
    """
    import numpy as np
    import torch

    from benchmarks.speed.passes import BATCH, inference, training
    from crystalbench.models.batches import DeviceArrays
    from crystalbench.models.cgcnn import CGCNN
    from crystalbench.models.model import Runtime
    from crystalbench.models.training import prepare_torch
    from crystalbench.samples import Kind, Target

    data = DeviceArrays(arrays, "cpu")
    labels = torch.from_numpy(targets[:, None])
    shuffle = np.random.default_rng(0)
    torch.manual_seed(0)
    network = CGCNN(width=64, layers=3, neighbors=12).network(Target(NAME, Kind.REGRESSION))

    def batches() -> Iterable[tuple[Any, Tensor]]:
        order = shuffle.permutation(len(data)) if kind == "training" else None
        return ((batch, labels[torch.from_numpy(index)]) for index, batch in data.batches(BATCH, order))

    measure = {"training": training, "inference": inference}[kind](network, batches, len(data))

    def measurement() -> float:
        prepare_torch(Runtime(threads=threads))
        return measure()

    return measurement


@contextmanager
def _prepare(
    settings: Settings, *, kind: str, stock: bool = False, flush: bool = True
) -> Iterator[tuple[Measurement, Measurement]]:
    from benchmarks.speed.passes import graphs_and_targets, plain_measurement

    arrays, targets = graphs_and_targets(settings)
    ours = our_measurement(arrays, targets, kind, settings.threads)
    if flush:
        yield ours, plain_measurement(arrays, targets, kind, stock=stock)
    else:
        yield ours, partial(unflushed, settings, kind)


def _row(name: str, what: str, **options: Any) -> Row:
    against = f"{options['kind']} of CGCNN on {NAME} ({_SIZES}); {what}"
    return Row(name, "crystals/s", against, partial(_prepare, **options), more_is_better=True)


ROWS = (
    _row("cgcnn_training_phonons", f"{_SAME}, subnormals flushed in both", kind="training"),
    _row("cgcnn_inference_phonons", f"{_SAME}, subnormals flushed in both", kind="inference"),
    _row("cgcnn_training_phonons_unflushed", f"{_SAME}, subnormals not flushed", kind="training", flush=False),
    _row("cgcnn_inference_phonons_unflushed", f"{_SAME}, subnormals not flushed", kind="inference", flush=False),
    _row(
        "cgcnn_training_phonons_stock",
        "PyTorch Geometric CGConv as it is, without CGCNN's norms: another, cheaper function, for information",
        kind="training",
        stock=True,
    ),
)
