"""Throughput of SEN, compared with a plain network of e3nn with features of the same irreps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.speed.phonons import NAME, phonons
from benchmarks.speed.rows import Measurement, Row, Settings

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS, LAYERS = 16, 2
_BATCH = 64


@contextmanager
def _prepare(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
    import numpy as np
    import torch

    from benchmarks.speed.passes import training
    from benchmarks.speed.plain_e3nn import PlainE3NN
    from crystalbench.models.devices import prepare_torch
    from crystalbench.models.model import Runtime
    from crystalbench.models.sen import SEN
    from crystalbench.nn.batches import DeviceArrays
    from crystalbench.representations import CrystalGraph

    task = phonons(settings)
    targets = ((task.targets - task.targets.mean()) / task.targets.std()).astype(np.float32)
    model = SEN(channels=CHANNELS, layers=LAYERS)
    data = DeviceArrays(model.representation(task.inputs), "cpu")
    graphs = DeviceArrays(CrystalGraph(model.neighbors + 1, vectors=True)(task.inputs), "cpu")
    labels = torch.from_numpy(targets[:, None])
    shuffle = np.random.default_rng(0)

    def batches(data: DeviceArrays) -> Iterable[tuple[Any, Tensor]]:
        order = shuffle.permutation(len(data))
        return ((batch, labels[batch.index]) for batch in data.batches(_BATCH, order))

    torch.manual_seed(0)
    ours = training(model.network(task.target), partial(batches, data), len(data))
    plain = training(PlainE3NN(CHANNELS, LAYERS), partial(batches, graphs), len(data))

    def with_threads(measure: Measurement) -> Measurement:
        def measurement() -> float:
            prepare_torch(Runtime(threads=settings.threads))
            return measure()

        return measurement

    yield with_threads(ours), with_threads(plain)


ROWS = (
    Row(
        "sen_training_phonons",
        "crystals/s",
        f"training of SEN on {NAME} ({CHANNELS} channels of 0e, 1o and 2e, {LAYERS} layers, 16 neighbours, batch "
        f"{_BATCH}); a plain gated network of e3nn (TensorProduct edge by edge) with the same irreps and graphs, "
        "another function",
        _prepare,
        more_is_better=True,
    ),
)
