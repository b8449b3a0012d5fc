"""Throughput of the nested graph network, compared with the same network on a line graph with all pairs of edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.speed.phonons import NAME, phonons
from benchmarks.speed.rows import Measurement, Row, Settings

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 64
_TOLERANCE = 1e-4
_MOST = 512  # crystals: pairs take a hundred kilobytes of each


@contextmanager
def _prepare(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
    import numpy as np
    import torch
    from torch import nn

    from benchmarks.speed.line_graph import LineGraphEncoder, with_pairs
    from benchmarks.speed.passes import training
    from crystalbench.models.devices import prepare_torch
    from crystalbench.models.model import Runtime
    from crystalbench.models.nested import Nested, NestedEncoder
    from crystalbench.nn.batches import DeviceArrays
    from crystalbench.representations import NestedGraph

    task = phonons(settings).limited(_MOST)
    targets = ((task.targets - task.targets.mean()) / task.targets.std()).astype(np.float32)
    model = Nested()
    graph = NestedGraph(neighbors=model.neighbors, degree=model.degree)
    merged = DeviceArrays(graph(task.inputs), "cpu")
    all_edges = NestedGraph(neighbors=model.neighbors, degree=model.degree, merged=False)
    paired = DeviceArrays(with_pairs(all_edges(task.inputs)), "cpu")
    labels = torch.from_numpy(targets[:, None])
    shuffle = np.random.default_rng(0)

    def batches(data: DeviceArrays) -> Iterable[tuple[Any, Tensor]]:
        order = shuffle.permutation(len(data))
        return ((batch, labels[batch.index]) for batch in data.batches(_BATCH, order))

    def network(encoder: type[NestedEncoder]) -> nn.Module:
        torch.manual_seed(0)
        body = encoder(model.width, model.edge_width, model.layers, model.degree, cutoff=model.cutoff)
        return nn.Sequential(body, nn.Linear(body.width, 1))

    def measured(encoder: type[NestedEncoder], data: DeviceArrays) -> Measurement:
        measure = training(network(encoder), partial(batches, data), len(data))

        def measurement() -> float:
            prepare_torch(Runtime(threads=settings.threads))
            return measure()

        return measurement

    some = np.arange(_BATCH)
    with torch.no_grad():
        ours, plain = (
            network(encoder).eval()(data.batch(some))
            for encoder, data in ((NestedEncoder, merged), (LineGraphEncoder, paired))
        )
    if not torch.allclose(ours, plain, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise RuntimeError("the outputs on the line graph differ from those of `nested`")
    yield measured(NestedEncoder, merged), measured(LineGraphEncoder, paired)


ROWS = (
    Row(
        "nested_training_phonons",
        "crystals/s",
        f"training of `nested` on {_MOST} crystals of {NAME} (default shape, batch {_BATCH}); the same function of the "
        "same weights in plain PyTorch on the line graph of all edges, whose pairs were made beforehand",
        _prepare,
        more_is_better=True,
    ),
)
