"""Throughput of CGCNN on quotient graphs, compared with PyTorch Geometric and with the original."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.speed.phonons import MP, NAME
from benchmarks.speed.rows import Measurement, Row, Settings
from benchmarks.speed.unflushed import unflushed
from crystalbench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from crystalbench.data.crystals import Crystals

WIDTH, LAYERS, NEIGHBORS = 64, 3, 12
_SIZES = f"width {WIDTH}, {LAYERS} layers, {NEIGHBORS} neighbours, batch 256"
# The peers read exactly 12 neighbours of equal weight; ours reads some more, with weights.
_SAME = "PyTorch Geometric CGConv with CGCNN's norms, the same function but for the weights of neighbours, DataLoader"


def our_measurement(
    crystals: Crystals, targets: np.ndarray, kind: str, threads: int, device: str = "cpu"
) -> Measurement:
    """The measurement of CrystalBench, in crystals per second.

    Args:
        crystals: n crystals.
        targets: (n,) standardised targets.
        kind: ``training`` or ``inference``.
        threads: number of torch's threads.
        device: torch device.
    """
    import numpy as np
    import torch

    from benchmarks.speed.passes import BATCH, inference, training
    from crystalbench.models.cgcnn import CGCNN
    from crystalbench.models.devices import prepare_torch
    from crystalbench.models.model import Runtime
    from crystalbench.nn.batches import DeviceArrays
    from crystalbench.targets import Kind, Target

    model = CGCNN(width=WIDTH, layers=LAYERS, neighbors=NEIGHBORS)
    data = DeviceArrays(model.representation(crystals), device)
    labels = torch.from_numpy(targets[:, None]).to(device)
    shuffle = np.random.default_rng(0)
    torch.manual_seed(0)
    network = model.network(Target("target", Kind.REGRESSION)).to(device)

    def batches() -> Iterable[tuple[Any, Tensor]]:
        order = shuffle.permutation(len(data)) if kind == "training" else None
        return ((batch, labels[batch.index]) for batch in data.batches(BATCH, order))

    measure = {"training": training, "inference": inference}[kind](network, batches, len(data))

    def measurement() -> float:
        prepare_torch(Runtime(threads=threads))
        return measure()

    return measurement


@contextmanager
def _prepare(
    settings: Settings, *, task: str, kind: str, peer: str = "plain"
) -> Iterator[tuple[Measurement, Measurement]]:
    from benchmarks.speed.passes import crystals_and_targets, original_measurement, plain_measurement

    crystals, targets = crystals_and_targets(settings, task)
    ours = our_measurement(crystals, targets, kind, settings.threads)
    if peer == "unflushed":
        yield ours, partial(unflushed, settings, kind)
    elif peer == "original":
        if settings.cgcnn is None:
            raise DataError("give a clone of https://github.com/txie-93/cgcnn with --cgcnn DIR")
        yield ours, original_measurement(crystals, targets, kind, settings.cgcnn)
    elif peer == "gpu":
        import torch

        if not torch.cuda.is_available():
            raise DataError("this row needs a GPU, but PyTorch finds none")
        ours = our_measurement(crystals, targets, kind, settings.threads, "cuda")
        yield ours, plain_measurement(crystals, targets, kind, device="cuda")
    else:
        yield ours, plain_measurement(crystals, targets, kind, stock=peer == "stock")


def _row(name: str, kind: str, against: str, task: str = NAME, peer: str = "plain", target: float | None = None) -> Row:
    crystals = "2,048 crystals of the Materials Project" if task == MP else task
    against = f"{kind} of CGCNN on {crystals} ({_SIZES}); {against}"
    prepare = partial(_prepare, task=task, kind=kind, peer=peer)
    return Row(f"cgcnn_{kind}_{name}", "crystals/s", against, prepare, more_is_better=True, target=target)


_FLUSHED, _UNFLUSHED = f"{_SAME}, subnormals flushed in both", f"{_SAME}, subnormals not flushed"

ROWS = (
    _row("phonons", "training", _FLUSHED, target=6),
    _row("phonons", "inference", _FLUSHED, target=6),
    _row("mp", "training", _FLUSHED, MP, target=4),
    _row("mp", "inference", _FLUSHED, MP),
    _row("phonons_unflushed", "training", _UNFLUSHED, peer="unflushed", target=25),
    _row("phonons_unflushed", "inference", _UNFLUSHED, peer="unflushed"),
    _row("phonons_original", "training", "the original CGCNN, subnormals flushed in both", peer="original"),
    _row("mp_gpu", "training", f"{_SAME}, both on a GPU", MP, peer="gpu"),
    _row(
        "phonons_stock",
        "training",
        "PyTorch Geometric CGConv as it is, without CGCNN's norms: another, cheaper function, for information",
        peer="stock",
    ),
)
