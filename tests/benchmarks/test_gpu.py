from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.gpu import check, throughput
from crystalbench.data.samples import Samples
from crystalbench.models import CGCNN

SMALL = {"task": "demo_bulk_modulus", "limit": 48}


def _check(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(check, "EQUALITY_ROWS", (30, 10))
    return check.main(["--device", "cpu", "--model", "cgcnn", "--epochs", "2", "--limit", "48", *arguments])


def test_a_device_that_computes_the_same_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _check(monkeypatch, "--part", "environment", "--part", "equality") == 0
    output = capsys.readouterr().out
    assert "torch" in output and "ok     cgcnn" in output and "two fits are equal" in output
    assert 0 < float(output.split("loss in bfloat16:")[1].split()[0]) < 0.1


def test_other_predictions_after_loading_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    restore = CGCNN.restore

    def wrong(self: CGCNN, arrays: Mapping[str, object], facts: Mapping[str, object]) -> None:
        restore(self, arrays, facts)
        self._standard = dataclasses.replace(self._standard, scale=1.5 * self._standard.scale)

    monkeypatch.setattr(CGCNN, "restore", wrong)
    assert _check(monkeypatch, "--part", "equality") == 1
    assert "FAILED cgcnn" in capsys.readouterr().out


@pytest.mark.parametrize("prediction, loss, passed", [(1e-4, 1e-3, True), (1, 1e-3, False), (float("nan"), 0, False)])
def test_differences_are_judged_by_their_tolerances(prediction: float, loss: float, passed: bool) -> None:
    assert check.Equality("cgcnn", prediction, loss, 9.0, False, 9.0).passed is passed


def test_unusable_devices_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--device", "cuda:99"]) == 1
    assert "cuda:99" in capsys.readouterr().err


def test_throughput_is_crystals_of_the_epochs_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

    def fit(self: CGCNN, train: Samples, valid: Samples) -> CGCNN:
        assert self.batch_size == 7 and len(valid) == 16
        for epoch in range(1, 100):
            Clock.now += 50.0 if epoch == 1 else 2.0  # the first one starts the device
            self.runtime.progress(epoch, 100, loss=0.0)
        raise AssertionError("was not stopped")

    monkeypatch.setattr(CGCNN, "fit", fit)
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: Clock.now)
    request = throughput.Request("cgcnn", 7, "cpu", **SMALL)
    assert throughput.speed(request, 5.0) == (48 - 16) / 2.0
    assert Clock.now == 50 + 3 * 2.0


def test_a_model_that_fails_is_not_a_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(self: CGCNN, train: Samples, valid: Samples) -> CGCNN:
        raise ValueError("broken")

    monkeypatch.setattr(CGCNN, "fit", fit)
    with pytest.raises(ValueError, match="broken"):
        throughput.speed(throughput.Request("cgcnn", 8, "cpu", **SMALL), 0.0)


@pytest.mark.slow
def test_several_processes_train_at_once() -> None:
    requests: Sequence[throughput.Request] = [throughput.Request("cgcnn", 16, "cpu", **SMALL)]
    ((request, speeds),) = throughput.measure(requests, 2, 0.05)
    assert request == requests[0] and len(speeds) == 2 and min(speeds) > 0


def test_the_script_checks_and_then_trains_what_is_queued(tmp_path: Path) -> None:
    (tmp_path / "queue.txt").write_text(
        "# two runs\n--task demo_bulk_modulus --model dummy --fold 0\n\n"
        "--task demo_bulk_modulus --model nothing --fold 0  # unknown",
        encoding="utf-8",
    )
    names = {"PYTHON": sys.executable, "DEVICE": "cpu", "QUEUE": str(tmp_path / "queue.txt")}
    root = Path(check.__file__).parents[2]
    command = [root / "benchmarks/gpu/check.sh", tmp_path / "out", "300", "--part", "environment"]
    done = subprocess.run(command, env=os.environ | names, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "exit status 0" in (tmp_path / "out/checks.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in (tmp_path / "out/queue.txt").read_text().splitlines() if line.startswith("exit status")]
    assert len(lines) == 2 and lines[0].startswith("exit status 0: ") and "model nothing" in lines[1]
    assert len(list((tmp_path / "out/results/records").rglob("*.json"))) == 1
