"""Progress as plain lines."""

from __future__ import annotations

import time

import pytest
from helpers import record, spec, tiny_task
from test_phases import FREQUENCY, Clock

from crystalbench.models.dummy import Dummy
from crystalbench.models.model import Phase
from crystalbench.runs import lines as module
from crystalbench.runs.lines import LineObserver, ProgressLines
from crystalbench.runs.phases import RunProgress
from crystalbench.runs.plan import Run


class Scene:
    """A run and the lines about it; time passes second by second."""

    def __init__(self) -> None:
        self.clock, self.written = Clock(), list[str]()
        self.lines = ProgressLines(self.written.append, self.clock)
        self.run = self.lines.add(RunProgress("run", FREQUENCY, self.clock))

    def wait(self, seconds: int) -> list[str]:
        """Lines written meanwhile."""
        self.written.clear()
        for _ in range(seconds):
            self.clock.now += 1
            self.lines.look()
        return list(self.written)


def test_a_phase_is_announced_and_then_told_of_every_30_seconds() -> None:
    scene = Scene()
    assert scene.wait(20) == []  # it has not begun
    scene.run(0, 100, phase=Phase.REPRESENTATIONS, unit="crystals")
    assert scene.wait(1) == []
    assert scene.wait(8) == ["run: representations, 0 of 100 crystals"]
    scene.run(0, 0)
    assert scene.wait(3) == ["run: fitting"]
    scene.run(2, 200, unit="epochs", valid=1.0)
    assert scene.wait(28) == []
    assert scene.wait(30) == ["run: fitting, epoch 2 of 200, validation MAE 1 cm^-1, for 32 s"]


def test_many_short_phases_are_told_of_every_30_seconds() -> None:
    scene = Scene()
    told = []
    for _ in range(45):
        scene.run(0, 0)
        told += scene.wait(1)
        scene.run(0, 10, phase=Phase.PREDICTING, unit="rows")
        told += scene.wait(1)
    assert len(told) == 3


def test_a_run_that_was_removed_is_not_told_of() -> None:
    scene = Scene()
    scene.run(0, 0)
    assert scene.lines.remove(scene.run) is False  # no line was written
    assert scene.wait(60) == []
    scene.lines.add(scene.run)
    scene.run(0, 0)
    scene.wait(60)
    assert scene.lines.remove(scene.run) is True
    assert scene.lines.remove(scene.run) is False


def test_long_runs_are_told_of_while_they_run_and_short_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    written: list[str] = []
    long, short = (Run(spec(fold=fold), "dummy", Dummy, tiny_task()) for fold in (0, 1))
    with LineObserver(written.append) as observer:
        observer.started(long)(0, 0)
        for _ in range(500):
            if written:
                break
            time.sleep(0.01)
        monkeypatch.setattr(module, "FIRST_SECONDS", 100.0)
        observer.started(short)(0, 0)
        observer.finished(short, record(fold=1), computed=True)
        observer.finished(long, record(unit="eV"), computed=True)
    assert written == [f"{long.title}: fitting", f"{long.title}: MAE 1 eV (2.0 s)"]
