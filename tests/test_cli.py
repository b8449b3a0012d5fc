from __future__ import annotations

import csv
import importlib.metadata
import io
import itertools
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT, record, wait_for, write_toy_suite, write_toys
from typer.testing import CliRunner

from crystalbench import __version__, cli
from crystalbench.errors import ConfigError
from crystalbench.models import model_names
from crystalbench.records import Record, RecordStore
from crystalbench.tasks import task_specs
from crystalbench.views import view_names

ENERGY = "demo_formation_energy"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command is called in an empty folder, on a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "fits.txt"))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")


def call(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def small(*arguments: object) -> Any:
    """Dummy on one fold of 60 rows, and more options."""
    return call("run", "--task", ENERGY, "--limit", 60, "--fold", 0, "--results", "results", "--threads", 1, *arguments)


def only_record(folder: str = "results") -> Record:
    records, problems = RecordStore(Path(folder) / "records").read_all()
    assert problems == []
    (record,) = records
    return record


def failed(result: Any, *says: str) -> None:
    """The command ended with exit code 1 and told the reason without a traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    for text in says:
        assert text in result.output
    assert "Traceback" not in result.output


# ---------------------------------------------------------------------- lists


@pytest.mark.parametrize("arguments", [["list"], ["run", "--list"]])
def test_the_lists_are_complete(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 0
    for name in (*task_specs(), *model_names(), *view_names(), "demo", "matbench"):
        assert name in result.output


def test_the_version() -> None:
    assert call("version").output.strip() == __version__ == importlib.metadata.version("crystalbench")


def test_help_explains_every_option() -> None:
    for command in ("run", "report", "list", "version"):
        assert call(command, "--help").exit_code == 0
    for option in ("--suite", "--task", "--model", "--fold", "--set", "--data-dir", "--results", "--offline"):
        assert option in call("run", "--help").output


def test_help_tells_the_defaults() -> None:
    text = call("run", "--help").output
    for default in ("demo", "per_fold", "5", "the cores of this machine", "cpu"):
        assert f"[default: {default}]" in text
    assert text.count("[default: 1]") == 2  # tune-splits, workers


@pytest.mark.parametrize("width", [80, 100])
def test_help_is_set_to_the_width_of_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("run", "tune"):
        lines = call(command, "--help").output.splitlines()
        assert "``" not in "\n".join(lines)
        assert "…" not in "\n".join(lines)
        start = next(i for i, line in enumerate(lines) if line.startswith((" Without options", " Studies are made")))
        text = [line.strip() for line in lines[start : lines.index(" " * width, start)]]
        assert text[-1].endswith(".")
        for line, following in itertools.pairwise(text):  # no line is broken where its next word had room
            assert len(line) + 1 + len(following.split()[0]) > width - 2


# ---------------------------------------------------------------------- running


def test_a_run_leaves_a_record_and_a_leaderboard() -> None:
    result = small("--model", "dummy", "--model", "magpie_forest", "--set", "trees=5")
    assert result.exit_code == 0, result.output
    assert "2 runs, 0 of them done" in result.output
    assert "60 of 1,168 rows" in result.output
    rows = list(csv.DictReader(io.StringIO(Path("results/leaderboard.csv").read_text())))
    assert {row["model"] for row in rows} == {"dummy", "magpie_forest"}
    assert Path("results/leaderboard.md").read_text().count("**magpie_forest**") == 1
    again = small("--model", "dummy", "--model", "magpie_forest", "--set", "trees=5")
    assert "2 runs, 2 of them done" in again.output
    assert len(RecordStore(Path("results/records")).paths()) == 2


def test_a_record_tells_the_command_that_repeats_it() -> None:
    first = small("--model", "magpie_forest", "--set", "trees=4", "--set", "algorithm=random_forest", "--seed", 3)
    assert first.exit_code == 0, first.output
    record = only_record()
    words = shlex.split(record.command)
    assert words[:3] == ["python", "-m", "benchmarks.run"]
    again = call("run", *words[3:], "--results", "again", "--threads", 1)
    assert again.exit_code == 0, again.output
    repeated = only_record("again")
    assert repeated.asked == record.asked
    assert repeated.predictions == record.predictions


def test_a_model_in_a_file_needs_no_registration(tmp_path: Path) -> None:
    result = small("--model", f"{write_toys(tmp_path)}:Shifted", "--set", "shift=2")
    assert result.exit_code == 0, result.output
    record = only_record()
    assert (record.label, record.asked.model, record.asked.parameters) == ("Shifted", "toys.py:Shifted", {"shift": 2.0})
    assert str(tmp_path) not in record.to_json().replace(record.command, "")


def test_a_failing_model_is_told_and_the_others_are_shown(tmp_path: Path) -> None:
    result = small("--model", f"{write_toys(tmp_path)}:Broken", "--model", "dummy")
    failed(result, "RuntimeError: the oven is cold", "tracebacks are in results/records/.failures")
    assert "dummy" in Path("results/leaderboard.csv").read_text()


def test_an_error_with_square_brackets_is_shown_as_it_is() -> None:
    Path("flaky[1].py").write_text(
        "from crystalbench.models.dummy import Dummy\n"
        "class Flaky(Dummy):\n"
        "    def fit(self, train, valid):\n"
        "        raise RuntimeError('no luck [/x] index[0] :b:')\n"
    )
    result = small("--model", "flaky[1].py:Flaky")
    failed(result, "failed: RuntimeError: no luck [/x] index[0] :b:")
    assert result.output.count("no luck [/x] index[0] :b:") == 2


def test_a_task_of_ones_own() -> None:
    Path("alloys.csv").write_text("formula,gap\n" + "".join(f"Fe{i}O2,{i}\n" for i in range(1, 31)))
    Path("alloys.toml").write_text(
        'name = "alloys"\ntable = "alloys.csv"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    )
    result = call("run", "--task", "alloys.toml", "--model", "dummy", "--results", "results")
    assert result.exit_code == 0, result.output
    assert len(RecordStore(Path("results/records")).paths()) == 5


def test_the_table_of_a_task_of_ones_own_may_be_named_on_the_command_line() -> None:
    for folder in ("suites", "tasks", "data"):
        Path(folder).mkdir()
    Path("data/alloys.csv").write_text("formula,gap\n" + "".join(f"Fe{i}O2,{i}\n" for i in range(1, 31)))
    text = 'table = "table.csv"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    for name in ("alloys_one", "alloys_two"):
        Path(f"tasks/{name}.toml").write_text(f'name = "{name}"\n{text}')
    Path("suites/alloys.toml").write_text(
        'tasks = ["../tasks/alloys_one.toml", "../tasks/alloys_two.toml"]\nmodels = ["dummy"]\nresults = "results"\n'
    )
    suite = ["run", "--suite", "suites/alloys.toml", "--threads", 1]
    failed(call(*suite), "alloys_one: its data is not at hand", "name the table with --data alloys_one=PATH")
    failed(call(*suite, "--data", "alloy_one=data/alloys.csv"), "Did you mean 'alloys_one'")
    result = call(*suite, "--task", "alloys_two", "--data", "alloys_two=data/alloys.csv", "--fold", 0)
    assert result.exit_code == 0, result.output
    assert only_record().asked.task == "alloys_two"
    assert only_record().source.name == "alloys.csv"
    result = call(*suite, "--data", "alloys_*=data/alloys.csv", "--fold", 0)
    assert result.exit_code == 0, result.output
    assert "2 runs, 1 of them done" in result.output
    alone = ["run", "--task", "tasks/alloys_one.toml", "--model", "dummy", "--results", "alone"]
    result = call(*alone, "--data", "alloys_one=data/alloys.csv", "--workers", 2)
    assert result.exit_code == 0, result.output
    assert len(RecordStore(Path("alone/records")).paths()) == 5


def test_a_suite_file_says_where_its_results_go(tmp_path: Path) -> None:
    write_toy_suite(tmp_path)
    text = Path("toys.toml").read_text()
    Path("toys.toml").write_text('results = "elsewhere"\n' + text)
    result = call("run", "--suite", "toys.toml", "--fold", 0)
    assert result.exit_code == 0, result.output
    assert len(RecordStore(Path("elsewhere/records")).paths()) == 2


def test_options_change_the_protocol() -> None:
    assert small("--model", "dummy", "--inner-folds", 3, "--ensemble", 2, "--view", "no_density").exit_code == 0
    asked = only_record().asked
    assert (asked.protocol.inner_folds, asked.protocol.ensemble, asked.view) == (3, 2, "no_density")


def test_a_view_in_a_file_needs_no_registration() -> None:
    Path("my_views.py").write_text(
        "import dataclasses\n"
        "from crystalbench.views import View\n"
        "large = View('large', 'nothing', lambda c: dataclasses.replace(c, lattices=2 * c.lattices))\n"
    )
    result = small("--model", "dummy", "--view", "my_views.py:large")
    assert result.exit_code == 0, result.output
    assert only_record().asked.view == "large"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("shift=1", 1),
        ("shift=1.5e-3", 1.5e-3),
        ("name=cosine", "cosine"),
        ("name=", ""),
        ("on=true", True),
        ("on=True", True),
        ("on=False", False),
        ("width=null", None),
        ("width=None", None),
        ("text=a=b", "a=b"),
        ('text="3"', "3"),
        ("sizes=[1, 2]", [1, 2]),
    ],
)
def test_values_of_set(given: str, value: object) -> None:
    (found,) = cli._parameters([given]).values()
    assert found == value
    assert type(found) is type(value)


def test_set_needs_a_name_and_a_value() -> None:
    for text in ("epochs", "=3", ""):
        with pytest.raises(ConfigError, match="write it as name=value"):
            cli._parameters([text])
    failed(small("--model", "dummy", "--set", "epochs"), "--set 'epochs': write it as name=value")


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--suite", "dmeo"], "Unknown suite 'dmeo'. Did you mean 'demo'"),
        (["--suite", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["--task", "demo_formation_enrgy"], "Did you mean 'demo_formation_energy'"),
        (["--task", ENERGY, "--model", "cgcn"], "Unknown model 'cgcn'. Did you mean 'cgcnn'"),
        (["--task", ENERGY, "--model", "toys.py:Net"], "toys.py: there is no such file"),
        (["--task", ENERGY, "--fold", "7"], "has no fold 7"),
        (["--task", ENERGY, "--view", "no_chem"], "Unknown view 'no_chem'. Did you mean 'no_chemistry'"),
        (["--task", ENERGY, "--model", "cgcnn", "--set", "epoch=3"], "Did you mean 'epochs'"),
        (["--task", ENERGY, "--model", "cgcnn", "--set", "epochs=many"], "epochs = 'many' is a str; it must be int"),
        (["--task", ENERGY, "--model", "cgcnn", "--set", "schedule=linear"], "it must be one of one_cycle"),
        (
            ["--task", ENERGY, "--model", "dummy", "--fold", "0", "--set", "shift=3"],
            "Unknown hyperparameter of dummy 'shift'",
        ),
        (["--task", ENERGY, "--model", "magpie_forest", "--fold", "0", "--set", "leaves=Infinity"], "leaves"),
        (["--task", ENERGY, "--data-dir", "nowhere"], "--data-dir nowhere: there is no such folder"),
        (["--task", ENERGY, "--data", "matbench_phonons"], "write TASK=PATH"),
        (["--task", "matbench_phonons", "--offline"], "There are three ways to get it"),
        (["--task", "nowhere.toml"], "nowhere.toml"),
        (["--task", ENERGY, "--model", "dummy", "--inner-folds", "3", "--ensemble", "4", "--fold", "0"], "inner folds"),
        (
            ["--task", ENERGY, "--model", "cgcnn", "--fold", "0", "--device", "cuda:99"],
            "device 'cuda:99' cannot be used",
        ),
        (["--task", ENERGY, "--model", "dummy", "--storage", "sqlite:///s.db"], "but nothing is tuned: give --tune"),
        (["--task", ENERGY, "--model", "dummy", "--tune", "0", "--storage", "sqlite:///s.db"], "nothing is tuned"),
    ],
    ids=range(20),
)
def test_mistakes_are_told_in_one_line(arguments: list[str], says: str) -> None:
    failed(call("run", "--results", "results", "--limit", 60, "--threads", 1, *arguments), says)


def test_results_that_cannot_be_written_are_told_before_any_work() -> None:
    Path("results").write_text("a file")
    failed(small("--model", "dummy"), "records cannot be written there", "give another --results")


@pytest.mark.parametrize("options", [(), ("--tune", 3), ("--workers", 2)], ids=["alone", "tuned", "workers"])
def test_a_device_that_is_not_there_is_told_before_any_work(options: tuple[object, ...]) -> None:
    result = small("--model", "cgcnn", "--device", "cuda:99", *options)
    failed(result, "error device 'cuda:99' cannot be used here: ")
    assert "runs, 0 of them done" not in result.output
    assert not Path("results").exists()


def test_seeds_are_not_negative() -> None:
    result = small("--model", "dummy", "--seed", -1)
    assert result.exit_code == 2
    assert "Invalid value for '--seed'" in result.output


def test_report_makes_the_leaderboard_anew() -> None:
    small("--model", "dummy")
    expected = Path("results/leaderboard.csv").read_text()
    Path("results/leaderboard.csv").write_text("edited by hand")
    result = call("report", "--results", "results")
    assert result.exit_code == 0
    assert "dummy" in result.output
    assert Path("results/leaderboard.csv").read_text() == expected


def test_report_counts_only_what_is_whole() -> None:
    small("--model", "dummy")
    small("--model", "magpie_forest", "--set", "trees=3")
    (path,) = Path("results/records").glob("*/dummy/*.json")
    path.write_text(path.read_text().replace('"test": ', '"test": 1'))
    result = call("report", "--results", "results")
    failed(result, "not counted", "was changed after it was written")
    assert "dummy" not in Path("results/leaderboard.csv").read_text()
    assert "magpie_forest" in Path("results/leaderboard.csv").read_text()


def test_report_without_records_says_what_to_do() -> None:
    says = "there are no records; run a suite first (crystalbench run), or give --results"
    failed(call("report", "--results", "nowhere"), f"nowhere/records: {says}")
    Path("results/records").mkdir(parents=True)
    failed(call("report"), f"results/records: {says}\n")
    assert not Path("results/leaderboard.csv").exists()
    RecordStore(Path("results/demo/records")).write(record())
    failed(call("report"), f"results/records: {says} (there are some in results/demo)\n")


def test_report_names_a_run_whose_label_has_square_brackets() -> None:
    RecordStore(Path("results/records")).write(record(label="cgcnn [/x] [wide]", unit="[eV]"))
    result = call("report")
    assert result.exit_code == 0, result.output
    assert "cgcnn [/x] [wide]" in result.output
    assert "MAE / [eV]" in result.output


# ---------------------------------------------------------------------- as programs


def test_the_main_job_as_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--task", ENERGY, "--limit", "60", "--model", "dummy"]
    result = subprocess.run(
        [*command, "--fold", "0", "--fold", "1", "--workers", "2", "--results", str(tmp_path / "results")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr.strip() == ""
    assert "2 runs, 0 of them done" in result.stdout
    assert len(RecordStore(tmp_path / "results" / "records").paths()) == 2
    assert (tmp_path / "results" / "leaderboard.csv").exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from crystalbench.cli import main; main()", "list"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    wait_for(lambda: process.poll() is not None)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


# ---------------------------------------------------------------------- tuning


def test_tuning_makes_a_row_of_its_own_and_can_be_shown(tmp_path: Path) -> None:
    model = ("--model", "magpie_forest", "--set", "trees=5")
    assert small(*model).exit_code == 0
    result = small(*model, "--tune", 5)
    assert result.exit_code == 0, result.output
    assert "magpie_forest · fold 0, tuned  MAE" in result.output
    assert "tuned with 5 trials in" in result.output
    assert "magpie_forest (tuned)" in result.output
    assert "1 runs, 1 of them done" in small(*model, "--tune", 5).output
    found = {r.asked.tuning is not None: r for r in RecordStore(Path("results/records")).read_all()[0]}
    assert set(found) == {True, False}
    assert found[True].asked.parameters == found[False].asked.parameters
    assert found[True].tuned is not None
    assert found[True].tuned.trials == 5
    again = call("run", *shlex.split(found[True].command)[3:], "--results", "again", "--threads", 1)
    assert again.exit_code == 0, again.output
    repeated = only_record("again")
    assert (repeated.asked, repeated.predictions) == (found[True].asked, found[True].predictions)

    shown = call("tune", "--results", "results")
    assert shown.exit_code == 0, shown.output
    assert f"{ENERGY} · magpie_forest · fold 0: 5 of 5 trials" in shown.output
    assert "as asked" in shown.output or found[True].tuned.trial == 0
    pages = Path("results/studies/pages")
    assert not pages.exists()
    shown = call("tune", "--show", "--results", "results", "--task", ENERGY, "--model", "magpie_forest", "--fold", 0)
    assert "written: 1 page and 1 suite in results/studies/pages\n" in shown.output
    suite = pages / f"{found[True].tuned.study}.toml"
    won = call("run", "--suite", suite, "--limit", 60, "--fold", 0, "--results", "won", "--threads", 1)
    assert won.exit_code == 0, won.output
    assert only_record("won").asked.parameters == {**found[True].asked.parameters, **found[True].tuned.parameters}


def test_studies_that_are_not_there_are_told() -> None:
    failed(call("tune", "--results", "nowhere"), "nowhere/studies: there are no studies; call run --tune first")


def test_studies_of_a_model_in_a_file_are_found_as_it_was_given_and_others_are_told(tmp_path: Path) -> None:
    Path("m").mkdir()
    Path("m/plain.py").write_text(
        "from dataclasses import dataclass\n"
        "from typing import Annotated\n"
        "from optuna.distributions import IntDistribution\n"
        "from crystalbench.models.dummy import Dummy\n"
        "@dataclass\n"
        "class Plain(Dummy):\n"
        "    steps: Annotated[int, IntDistribution(1, 9)] = 5\n"
    )
    result = small("--model", "m/plain.py:Plain", "--tune", 1)
    assert result.exit_code == 0, result.output
    assert "tuned with 1 trial in" in result.output
    for given in ("m/plain.py:Plain", "plain.py:Plain", "Plain"):
        shown = call("tune", "--model", given)
        assert shown.exit_code == 0, shown.output
        assert f"{ENERGY} · Plain · fold 0: 1 of 1 trials" in shown.output
    failed(
        call("tune", "--model", "nope"), "Unknown model of the studies in results/studies 'nope'. Known: Plain, plain"
    )
    failed(call("tune", "--fold", 77, "--show"), "there is no study of fold 77; there are studies of fold 0\n")
    assert not Path("results/studies/pages").exists()


def test_a_damaged_study_is_named(tmp_path: Path) -> None:
    small("--model", "magpie_forest", "--set", "trees=5", "--tune", 1)
    (file,) = Path("results/studies").glob("*/*/*.json")
    file.write_text("{}")
    failed(call("tune", "--results", "results"), "left out", "is not a whole study")


def test_a_storage_that_cannot_be_used_is_told_before_any_work() -> None:
    options = ("--tune", 2, "--storage", "postgresql://me:secret@127.0.0.1:1/db")
    failed(small("--model", "magpie_forest", *options), "storage postgresql", "is the server running")
    failed(small("--model", "magpie_forest", "--tune", 2, "--storage", "studies.db"), "is not a URL")
    assert RecordStore(Path("results/records")).paths() == []
    assert small("--model", "dummy", *options).exit_code == 0  # has nothing to tune
