"""The progress of a run as text."""

from __future__ import annotations

import logging

import pytest

from crystalbench.models.model import Phase
from crystalbench.runs.phases import RunProgress, duration
from crystalbench.targets import Kind, Target

TITLE = "matbench_phonons · cgcnn · fold 0"
FREQUENCY = Target("frequency", Kind.REGRESSION, "cm^-1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def progress(clock: Clock, target: Target = FREQUENCY) -> RunProgress:
    return RunProgress(TITLE, target, clock)


def test_a_fit_has_epochs_the_error_in_the_unit_of_the_target_and_the_time_left(clock: Clock) -> None:
    run = progress(clock)
    run(0, 0)
    assert run.text() == "fitting"
    clock.now += 20
    run(40, 200, unit="epochs", loss=0.1, valid=35.234, best=33.1)
    clock.now += 2
    run(44, 200, unit="epochs", loss=0.1, valid=35.234, best=33.1)
    # 2 s for 4 epochs since the first report: the first 40 may be from an interrupted run
    assert run.text() == "fitting, epoch 44 of 200, validation MAE 35.23 cm^-1, 1 min 18 s left"


def test_a_fit_from_the_first_epoch_on_is_timed_from_its_beginning(clock: Clock) -> None:
    run = progress(clock)
    run(0, 0)
    clock.now += 10
    run(1, 4, unit="epochs", valid=1.0, best=1.0)
    assert run.text() == "fitting, epoch 1 of 4, validation MAE 1 cm^-1, 30 s left"
    clock.now += 10
    run(4, 4, unit="epochs", valid=1.0, best=1.0)
    assert run.text() == "fitting, epoch 4 of 4, validation MAE 1 cm^-1"


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.MULTICLASS])
def test_the_error_of_a_classifier_is_called_a_loss(clock: Clock, kind: Kind) -> None:
    run = progress(clock, Target("metal", kind, classes=("no", "yes")))
    run(3, 10, unit="epochs", valid=0.5, best=0.4)
    assert run.text() == "fitting, epoch 3 of 10, validation loss 0.5"


def test_a_target_without_a_unit_has_none(clock: Clock) -> None:
    run = progress(clock, Target("index", Kind.REGRESSION))
    run(3, 10, unit="epochs", valid=0.5, best=0.4)
    assert run.text() == "fitting, epoch 3 of 10, validation MAE 0.5"


def test_crystals_are_counted(clock: Clock) -> None:
    run = progress(clock)
    run(0, 18_928, phase=Phase.REPRESENTATIONS, unit="crystals")
    clock.now += 6
    run(1_893, 18_928, phase=Phase.REPRESENTATIONS, unit="crystals")
    assert run.text() == "representations, 1,893 of 18,928 crystals, 54 s left"


def test_trials_and_members_are_numbered(clock: Clock) -> None:
    run = progress(clock)
    run(2, 20, phase=Phase.TUNING, unit="trials", trial=3, trials=20, best=34.567)
    assert run.text() == "tuning, trial 4 of 20, best trial 34.57"
    run(300, 600, phase=Phase.TUNING, unit="s", trial=3)
    assert run.text() == "tuning, trial 4, 300 of 600 s"
    run(240, 1000, unit="epochs", member=1, members=5, valid=1.0, best=1.0)
    assert run.text() == "fitting, member 2 of 5, epoch 40 of 200, validation MAE 1 cm^-1"


def test_numbers_of_other_models_are_shown_by_name(clock: Clock) -> None:
    run = progress(clock)
    run(1, 2, loss=0.25, accuracy=0.5)
    assert run.text() == "fitting, step 1 of 2, training loss 0.25, accuracy 0.5"


def test_a_phase_without_reports_shows_how_long_it_has_lasted(clock: Clock) -> None:
    run = progress(clock)
    assert run.text() == "waiting"
    run(0, 0)
    clock.now += 29
    assert run.text() == "fitting"
    clock.now += 96
    assert run.text() == "fitting, for 2 min 5 s"


def test_the_begin_of_each_phase_is_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crystalbench")
    run = progress(clock)
    run(0, 100, phase=Phase.REPRESENTATIONS, unit="crystals")
    run(50, 100, phase=Phase.REPRESENTATIONS, unit="crystals")
    run(0, 0)
    run(1, 2, unit="epochs")
    run(0, 7, phase=Phase.PREDICTING, unit="rows")
    assert caplog.messages == [
        f"{TITLE}: representations, 0 of 100 crystals",
        f"{TITLE}: fitting",
        f"{TITLE}: predicting, 0 of 7 rows",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
        (90_000, "25 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
