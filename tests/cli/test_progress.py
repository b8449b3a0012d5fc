from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import record, spec, tiny_task, tuned_record
from rich.console import Console

from crystalbench.cli.progress import LiveProgress, Reading
from crystalbench.cli.studies import requested
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.dummy import Dummy
from crystalbench.models.model import Phase
from crystalbench.results.record import Record, TuningResult
from crystalbench.results.spec import TuningSpec
from crystalbench.results.study import Study
from crystalbench.runs import lines
from crystalbench.runs.plan import Run
from crystalbench.tasks import get_task_spec

BRACKETS = "x [/x] index[0] [red]"


def run_of(label: str = "dummy", **changes: Any) -> Run:
    return Run(spec(**changes), label, Dummy, tiny_task())


def plain(width: int = 200) -> Console:
    return Console(width=width, file=io.StringIO(), force_terminal=False)


def terminal(width: int) -> Console:
    return Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False)


def text_of(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def line_of(made: Record) -> str:
    """The line that is printed for a computed run."""
    console = plain()
    LiveProgress(console, 3).finished(run_of(fold=made.spec.fold), made, computed=True)
    return text_of(console).strip()


# ---------------------------------------------------------------------- finished and failed runs


@pytest.mark.parametrize("console", [plain(), terminal(200)], ids=["stream", "terminal"])
def test_square_brackets_are_printed_literally(console: Console) -> None:
    run = run_of(BRACKETS)
    with LiveProgress(console, 3) as live:
        live.started(run)(1, 2, **{BRACKETS: 1.0})
        live.shown.bars.refresh()
        live.finished(run, record(unit="[eV]"), computed=True)
        live.started(run)
        live.failed(run, f"RuntimeError: no luck {BRACKETS}")
    text = text_of(console)
    assert f"✓ {run.title}  MAE 1 [eV]  (2.0 s, 1 of 3)" in text
    assert f"✗ {run.title}  failed: RuntimeError: no luck {BRACKETS}" in text
    assert not console.is_terminal or f"{BRACKETS} 1" in text


def test_an_existing_run_is_counted_but_not_listed() -> None:
    console = plain()
    live = LiveProgress(console, 3)
    live.finished(run_of(), record(), computed=False)
    assert (live.done, text_of(console)) == (1, "")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (record(), "(2.0 s, 1 of 3)"),
        (tuned_record(trials=20), "(tuned with 20 trials, 1 failed, in 10 s, 2.0 s, 1 of 3)"),
        (tuned_record(scheme="first_fold"), "(tuned with 20 trials, 1 failed, in 10 s, 2.0 s, 1 of 3)"),
        (tuned_record(scheme="first_fold", fold=2), "(as tuned on fold 0, 2.0 s, 1 of 3)"),
    ],
    ids=["untuned", "tuned", "first fold", "another fold"],
)
def test_the_line_of_a_finished_run_shows_its_costs(made: Record, says: str) -> None:
    assert line_of(made).endswith(says)


def test_failed_trials_are_mentioned_only_if_there_are_any() -> None:
    found = TuningResult(
        study="s", fold=0, parameters={}, trial=0, metric="mae", value=1.0, complete=1, pruned=0, failed=0, seconds=1234
    )
    made = record(tuning=TuningSpec(trials=1), tuned=found)
    assert line_of(made).endswith("(tuned with 1 trial in 1,234 s, 2.0 s, 1 of 3)")


# ---------------------------------------------------------------------- bars


@pytest.mark.parametrize("width", [80, 100, 119, 120, 220])
@pytest.mark.parametrize(
    "numbers",
    [
        {"phase": Phase.TUNING, "unit": "trials", "trial": 2, "trials": 20, "best": 0.1234},
        {"unit": "epochs", "loss": 0.1234, "valid": 0.5678, "best": 0.0123},
    ],
    ids=["trials", "epochs"],
)
def test_narrow_terminals_cut_titles_but_not_numbers(width: int, numbers: dict[str, Any]) -> None:
    console = terminal(width)
    live = LiveProgress(console, 120)
    live.finished(run_of(), record(), computed=False)
    title = "a_task_with_a_long_name · a_model_with_a_long_name · fold 3, tuned"
    bar = live.shown.bars.add_task(title, total=None, numbers="", unit="")
    live.started(run_of())(3, 20, **numbers)
    live.shown.bars.update(bar, completed=17, total=200, unit="epochs", numbers="validation MAE 0.1234 eV")
    shown = plain(width)
    shown.print(live.shown.bars.make_tasks_table(live.shown.bars.tasks))
    lines = text_of(shown).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    overall, long, short = lines
    assert re.search(r" all runs .* 1/120 +runs +0:00:00 +left +-:--:--", overall)
    assert re.search(r" 17/200 +epochs +0:00:00 +left +-:--:-- +validation MAE 0.1234 eV$", long.rstrip())
    assert re.search(r" a_task_w.*… " if width < 200 else rf" {title} ", long)
    assert ("━" in long) == (width >= 120)
    tuning = "trial" in numbers
    kept = ("tuning, " if tuning else "fitting, ") if width >= 120 else ""
    kept += "best trial 0.1234" if tuning else "validation MAE 0.5678 eV"
    assert re.search(rf" 3/20 +{numbers['unit']} +0:00:00 +left +-:--:-- +{kept}$", short.rstrip())


def test_a_bar_begins_anew_with_each_phase() -> None:
    live = LiveProgress(terminal(200), 1)
    report = live.started(run_of())
    (bar,) = (task for task in live.shown.bars.tasks if task.description != "all runs")
    report(7, 40, phase=Phase.REPRESENTATIONS, unit="crystals")
    assert (bar.completed, bar.total, bar.fields["unit"], bar.fields["numbers"]) == (
        7,
        40,
        "crystals",
        "representations",
    )
    report(0, 0)
    assert (bar.completed, bar.total, bar.fields["unit"], bar.fields["numbers"]) == (0, None, "", "fitting")
    report(3, 20, unit="epochs", valid=0.5)
    assert (bar.completed, bar.total) == (3, 20)
    assert bar.fields["numbers"] == "fitting, validation MAE 0.5 eV"


# ---------------------------------------------------------------------- plain lines


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every phase is worth a line."""
    monkeypatch.setattr(lines, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(lines, "LOOK_SECONDS", 0.005)


def lines_within(console: Console, text: str) -> str:
    """What a console shows, as soon as it contains a text."""
    for _ in range(1000):
        if text in text_of(console):
            break
        time.sleep(0.005)
    return text_of(console)


@pytest.mark.usefixtures("at_once")
def test_running_runs_have_lines_where_there_are_no_bars() -> None:
    console, run = plain(), run_of(BRACKETS)
    with LiveProgress(console, 3) as live:
        live.started(run)(3, 20, unit="epochs", valid=0.5)
        shown = lines_within(console, "fitting")
        live.finished(run, record(), computed=True)
    assert shown == f"{run.title}: fitting, epoch 3 of 20, validation MAE 0.5 eV\n"
    assert text_of(console).splitlines()[1].startswith("✓ ")


@pytest.mark.usefixtures("at_once")
def test_reading_a_task_is_told_of() -> None:
    console = plain()
    with Reading(console) as reading:
        for number, name in enumerate(("demo_bulk_modulus", "demo_formation_energy")):
            reading(get_task_spec(name))(number, 2, phase=Phase.READING, unit="tasks")
            assert f"{name}: reading, {number} of 2 tasks\n" in lines_within(console, name)


# ---------------------------------------------------------------------- studies


def study(**changes: Any) -> Study:
    label = changes.pop("label", "") or changes.get("model", "dummy")
    what = spec(tuning=TuningSpec(trials=1), **changes)
    return Study(spec=what, label=label, metric="mae", higher_is_better=False, unit="", space={}, trials=[])


STUDIES = [
    study(task="mine", model="magpie_forest", fold=0),
    study(task="mine", model="magpie_forest", fold=1),
    study(task="mine", model="flaky.py:Plain", label="Plain", fold=0),
    study(task="yours", model="cgcnn", label="cgcnn, wide", fold=4),
]
FOLDER = Path("results/studies")


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("magpie_forest", "magpie_forest"),
        ("Plain", "Plain"),
        ("flaky.py:Plain", "flaky.py:Plain"),
        ("m/flaky.py:Plain", "flaky.py:Plain"),
        (r"C:\models\flaky.py:Plain", "flaky.py:Plain"),
        ("cgcnn", "cgcnn"),
        ("cgcnn, wide", "cgcnn, wide"),
    ],
)
def test_models_are_found_by_name_label_and_location(given: str, called: str) -> None:
    assert requested(STUDIES, FOLDER, [], [given], []) == ([], [called])


def test_a_task_is_found_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula,gap\nFeO,1\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntable = "mine.csv"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    )
    assert requested(STUDIES, FOLDER, [str(tmp_path / "mine.toml")], [], [1]) == (["mine"], [])


@pytest.mark.parametrize(
    ("tasks", "models", "says"),
    [
        (
            ["mien"],
            [],
            "task of the studies in results/studies 'mien'. Did you mean 'mine'? Known: mine, yours.",
        ),
        ([], ["nope"], "'nope'. Known: Plain, cgcnn, cgcnn, wide, flaky.py:Plain, magpie_forest."),
        ([], ["magpie_forrest"], "Did you mean 'magpie_forest'"),
        ([], ["magpie_forest", "m/flaky.py:Plane"], "Did you mean 'flaky.py:Plain'"),
        (["mine"], ["cgcnn"], "'cgcnn'. Known: Plain, flaky.py:Plain, magpie_forest."),
    ],
)
def test_missing_studies_are_reported_with_the_existing_ones(tasks: list[str], models: list[str], says: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(says)):
        requested(STUDIES, FOLDER, tasks, models, [])


@pytest.mark.parametrize(
    ("tasks", "models", "there"),
    [
        ([], [], "folds 0, 1, 4"),
        (["mine"], [], "folds 0, 1"),
        ([], ["Plain"], "fold 0"),
    ],
)
def test_folds_without_a_study_are_reported_with_those_that_have_one(
    tasks: list[str], models: list[str], there: str
) -> None:
    with pytest.raises(ConfigError, match=rf"there is no study of fold 77; there are studies of {there}$"):
        requested(STUDIES, FOLDER, tasks, models, [0, 77])
