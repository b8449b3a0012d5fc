"""A fit that is interrupted and resumed ends with the weights of one that is not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import SMALL_CGCNN

from crystalbench.data.samples import Samples
from crystalbench.models import CGCNN, DiffractionSpectrum, NetworkModel, SchNet, checkpoints
from crystalbench.models.checkpoints import Checkpoint
from crystalbench.models.model import Runtime

FACTS = {"run": "abc", "member": 0}
EPOCHS = 7

MODELS = [
    pytest.param(CGCNN, {**SMALL_CGCNN, "averaging": 0.0}, id="cgcnn"),
    pytest.param(
        CGCNN, {**SMALL_CGCNN, "averaging": 0.9, "dropout": 0.3, "schedule": "cosine"}, id="cgcnn with dropout"
    ),
    pytest.param(SchNet, {"width": 8, "layers": 1, "averaging": 0.9}, id="schnet"),
    pytest.param(DiffractionSpectrum, {"dropout": 0.3, "intensities": "random_scale"}, id="diffraction"),
]


@pytest.fixture(autouse=True)
def _after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)


class Interrupt:
    """Interrupts a fit during an epoch, like Ctrl-C, and notes which epochs are reported."""

    def __init__(self, epoch: int | None = None) -> None:
        self.epoch = epoch
        self.epochs: list[int] = []

    def __call__(self, done: int, total: int, **_: Any) -> None:
        self.epochs.append(done)
        if done == self.epoch:
            raise KeyboardInterrupt


def new(kind: type[NetworkModel], options: dict[str, Any], progress: Interrupt, **changes: Any) -> NetworkModel:
    model = kind(**{**options, "epochs": EPOCHS, "batch_size": 16})
    model.runtime = Runtime(seed=3, progress=progress, **changes)
    return model


def interrupted(kind: type[NetworkModel], options: dict[str, Any], path: Path, parts: tuple[Samples, Samples]) -> None:
    model = new(kind, options, Interrupt(4), checkpoint=Checkpoint(path, FACTS))
    with pytest.raises(KeyboardInterrupt):
        model.fit(*parts)


def is_fitted_again(path: Path, parts: tuple[Samples, Samples], facts: dict[str, Any] = FACTS, **changes: Any) -> bool:
    """Whether a fit with this checkpoint begins with the first epoch."""
    heard = Interrupt()
    new(CGCNN, SMALL_CGCNN, heard, checkpoint=Checkpoint(path, facts), **changes).fit(*parts)
    return heard.epochs[0] == 1


@pytest.mark.parametrize(("kind", "options"), MODELS)
def test_a_resumed_fit_gives_the_same_weights(
    kind: type[NetworkModel], options: dict[str, Any], train: Samples, valid: Samples, tmp_path: Path
) -> None:
    whole = new(kind, options, Interrupt()).fit(train, valid)
    path = tmp_path / "folder" / "fit.pt"
    interrupted(kind, options, path, (train, valid))
    heard = Interrupt()
    resumed = new(kind, options, heard, checkpoint=Checkpoint(path, FACTS)).fit(train, valid)
    assert heard.epochs == [4, 5, 6, 7]  # the fourth was interrupted before it was saved
    (expected, facts), (found, others) = whole.state(), resumed.state()
    assert facts == others
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("at", [3, 10], ids=["while it chooses", "while it trains on all rows"])
def test_early_stopping_goes_on(train: Samples, valid: Samples, tmp_path: Path, at: int) -> None:
    parameters = {**SMALL_CGCNN, "stopping": "best", "epochs": EPOCHS}

    class InterruptedOnce(Interrupt):
        def __call__(self, done: int, total: int, **details: Any) -> None:
            super().__call__(done, total, **details)
            if len(self.epochs) == at:
                raise KeyboardInterrupt

    def fitted(progress: Interrupt, checkpoint: Checkpoint | None) -> NetworkModel:
        model = CGCNN(**parameters)
        model.runtime = Runtime(progress=progress, checkpoint=checkpoint)
        return model.fit(train, valid)

    whole = Interrupt()
    expected = fitted(whole, None)
    assert 10 < len(whole.epochs) == EPOCHS + expected.trained_epochs
    path = tmp_path / "fit.pt"
    with pytest.raises(KeyboardInterrupt):
        fitted(InterruptedOnce(), Checkpoint(path, FACTS))
    again = Interrupt()
    found = fitted(again, Checkpoint(path, FACTS))
    assert len(again.epochs) < len(whole.epochs)
    assert found.trained_epochs == expected.trained_epochs
    for name, array in expected.state()[0].items():
        np.testing.assert_array_equal(found.state()[0][name], array, err_msg=name)


def test_the_time_of_interrupted_attempts_is_kept(train: Samples, valid: Samples, tmp_path: Path) -> None:
    interrupted(CGCNN, SMALL_CGCNN, tmp_path / "fit.pt", (train, valid))
    checkpoint = Checkpoint(tmp_path / "fit.pt", FACTS)
    assert checkpoint.earlier_seconds == 0
    new(CGCNN, SMALL_CGCNN, Interrupt(), checkpoint=checkpoint).fit(train, valid)
    assert 0 < checkpoint.earlier_seconds < 60


def test_a_short_fit_writes_no_checkpoint(
    train: Samples, valid: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 60.0)
    new(CGCNN, SMALL_CGCNN, Interrupt(), checkpoint=Checkpoint(tmp_path / "fit.pt", FACTS)).fit(train, valid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"x" * 10, None], ids=["empty", "short", "changed"])
def test_a_damaged_checkpoint_is_ignored_with_a_warning(
    train: Samples, valid: Samples, tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "fit.pt"
    interrupted(CGCNN, SMALL_CGCNN, path, (train, valid))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content) if damage is None else damage)
    assert is_fitted_again(path, (train, valid))
    assert f"{path}: is a damaged checkpoint" in caplog.text


@pytest.mark.parametrize(
    ("facts", "changes", "says"),
    [({**FACTS, "run": "abd"}, {}, "run"), ({**FACTS, "code": "x"}, {}, "code"), (FACTS, {"threads": 2}, "threads")],
    ids=["another run", "other code", "other threads"],
)
def test_the_checkpoint_of_another_fit_is_ignored_with_a_warning(
    train: Samples,
    valid: Samples,
    tmp_path: Path,
    facts: dict[str, Any],
    changes: dict[str, Any],
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "fit.pt"
    interrupted(CGCNN, SMALL_CGCNN, path, (train, valid))
    assert is_fitted_again(path, (train, valid), facts, **changes)
    assert f"{path}: is of a fit with another {says}; the fit starts again" in caplog.messages


def test_a_matching_checkpoint_is_used(train: Samples, valid: Samples, tmp_path: Path) -> None:
    interrupted(CGCNN, SMALL_CGCNN, tmp_path / "fit.pt", (train, valid))
    assert not is_fitted_again(tmp_path / "fit.pt", (train, valid))


def test_a_fit_goes_on_where_checkpoints_cannot_be_written(
    train: Samples, valid: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    heard = Interrupt()
    caplog.set_level(logging.WARNING)
    new(CGCNN, SMALL_CGCNN, heard, checkpoint=Checkpoint(tmp_path / "file" / "fit.pt", FACTS)).fit(train, valid)
    assert len(heard.epochs) == EPOCHS
    assert len(caplog.messages) == 1
    assert "the checkpoint cannot be written" in caplog.messages[0]
