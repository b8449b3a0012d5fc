"""No step of training, and no batch of a prediction, waits for the device.

Tensors on torch's ``meta`` device have shapes but no numbers: an operation that has to read a number from the device
raises an error there, on any machine. Copies to the device that block are found by their arguments.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import QUICK, random_crystals, samples_of
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from crystalbench.models import get_model, model_names
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.network import NetworkModel
from crystalbench.models.training import Part, Trainer, outputs
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.targets import Kind

NETWORKS = [name for name in model_names() if issubclass(get_model(name), NetworkModel)]
META = torch.device("meta")


class NoWaitedCopies(TorchDispatchMode):
    """Refuses copies between devices that are not declared as non-blocking."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        devices = {arg.device.type for arg in args if isinstance(arg, Tensor)}
        devices |= {kwargs["device"].type} if kwargs.get("device") is not None else set()
        waits = "_to_copy" in str(func) and not kwargs.get("non_blocking")
        waits |= "copy_" in str(func) and len(args) < 3  # copy_(self, source, non_blocking)
        if waits and len(devices) > 1:
            raise RuntimeError(f"{func} between {devices} is waited for")
        return func(*args, **kwargs)


@pytest.fixture(autouse=True)
def plain_adamw(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no fused AdamW on ``meta``."""
    adamw = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *args, fused, **options: adamw(*args, **options))


def pass_over(model: NetworkModel, kind: Kind = Kind.REGRESSION) -> nn.Module:
    """One epoch of two steps, and one prediction, of a network on ``meta``."""
    rows = samples_of(random_crystals(0, 30, most_atoms=4), kind)
    model.target = rows.target
    model.fit_inputs(rows)
    network = model.network(rows.target).to(META)
    data = DeviceArrays(model.inputs(rows), META)
    size = (len(rows),) if kind is Kind.MULTICLASS else (len(rows), 1)
    targets = torch.zeros(size, dtype=torch.int64 if kind is Kind.MULTICLASS else torch.float32, device=META)
    losses = {Kind.REGRESSION: nn.L1Loss, Kind.BINARY: nn.BCEWithLogitsLoss, Kind.MULTICLASS: nn.CrossEntropyLoss}
    model.batch_size = 16
    trainer = Trainer(network, losses[kind](), Part(data, targets), model, seed=0)
    with NoWaitedCopies():
        loss = trainer.epoch()
        found = [output for _, output in outputs(trainer.evaluated_network, data, batch_size=16)]
    assert loss.device == found[0].device == META
    assert sum(len(output) for output in found) == len(rows)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_no_step_waits_for_the_device(name: str) -> None:
    model = get_model(name)(**QUICK.get(name, {}))
    assert isinstance(model, NetworkModel)
    network = pass_over(model)
    assert any(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("kind", Kind)
def test_no_kind_of_target_waits_for_the_device(kind: Kind) -> None:
    pass_over(CGCNN(), kind)


class _Waiting(nn.Module):
    def __init__(self, way: str, width: int) -> None:
        super().__init__()
        self.way, self.width = way, width
        self.elements = nn.Embedding(119, width)
        self.factor = torch.ones(width)

    def forward(self, batch: Batch) -> Tensor:
        rows = self.elements(batch["numbers"])
        if self.way == "number":
            rows = rows * float(rows.detach().sum())
        elif self.way == "rows":
            rows = rows + len(rows[batch["multiplicities"] > 1])
        elif self.way == "copy":
            rows = rows * self.factor.to(rows.device)
        return batch.mean(rows, "site")


class WaitingModel(CGCNN):
    """Waits for the device in one of several ways, or not at all."""

    way = ""

    def encoder(self) -> nn.Module:
        return _Waiting(self.way, self.width)


@pytest.mark.parametrize(
    ("way", "error", "reason"),
    [
        ("number", RuntimeError, "meta"),
        ("rows", NotImplementedError, "nonzero"),
        ("copy", RuntimeError, "is waited for"),
    ],
)
def test_waiting_is_found(way: str, error: type[Exception], reason: str) -> None:
    pass_over(model := WaitingModel())
    model.way = way
    with pytest.raises(error, match=reason):
        pass_over(model)
