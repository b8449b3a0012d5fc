"""The command `run`, and the command line as a program."""

from __future__ import annotations

import csv
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ENERGY, call, failed, only_record, small
from helpers import ROOT, wait_for, write_toy_suite, write_toys

from crystalbench.cli.options import parameters
from crystalbench.cli.run import chosen_suite
from crystalbench.errors import ConfigError
from crystalbench.models import load_model
from crystalbench.models.forests.magpie import MagpieForest
from crystalbench.results.store import RecordStore
from crystalbench.runs.plan import Selection


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


def test_a_record_contains_the_command_that_repeats_it() -> None:
    first = small("--model", "descriptor_forest", "--set", "trees=4", "--set", "bank=gong28", "--seed", 3)
    assert first.exit_code == 0, first.output
    record = only_record()
    words = shlex.split(record.command)
    assert words[:2] == ["crystalbench", "run"]
    again = call(*words[1:], "--results", "again", "--threads", 1)
    assert again.exit_code == 0, again.output
    repeated = only_record("again")
    assert repeated.spec == record.spec
    assert repeated.predictions == record.predictions


def test_a_model_in_a_file_needs_no_registration(tmp_path: Path) -> None:
    result = small("--model", f"{write_toys(tmp_path)}:Shifted", "--set", "shift=2")
    assert result.exit_code == 0, result.output
    record = only_record()
    assert (record.label, record.spec.model, record.spec.parameters) == ("Shifted", "toys.py:Shifted", {"shift": 2.0})
    assert str(tmp_path) not in record.to_json().replace(record.command, "")


def test_a_failing_model_is_reported_and_the_others_are_shown(tmp_path: Path) -> None:
    result = small("--model", f"{write_toys(tmp_path)}:Broken", "--model", "dummy")
    failed(result, "RuntimeError: the oven is cold", "tracebacks are in results/records/.failures")
    assert "dummy" in Path("results/leaderboard.csv").read_text()


def test_an_error_with_square_brackets_is_printed_literally() -> None:
    Path("flaky[1].py").write_text(
        "from crystalbench.models.dummy import Dummy\n"
        "class Flaky(Dummy):\n"
        "    def fit(self, train, valid):\n"
        "        raise RuntimeError('no luck [/x] index[0] :b:')\n"
    )
    result = small("--model", "flaky[1].py:Flaky")
    failed(result, "failed: RuntimeError: no luck [/x] index[0] :b:")
    assert result.output.count("no luck [/x] index[0] :b:") == 2


def test_a_task_file_of_the_user() -> None:
    Path("alloys.csv").write_text("formula,gap\n" + "".join(f"Fe{i}O2,{i}\n" for i in range(1, 31)))
    Path("alloys.toml").write_text(
        'name = "alloys"\ntable = "alloys.csv"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    )
    result = call("run", "--task", "alloys.toml", "--model", "dummy", "--results", "results")
    assert result.exit_code == 0, result.output
    assert len(RecordStore(Path("results/records")).paths()) == 5


def test_the_table_of_a_task_file_may_be_named_on_the_command_line() -> None:
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
    failed(call(*suite), "alloys_one: there is no table", "name the table with --data alloys_one=PATH")
    failed(call(*suite, "--data", "alloy_one=data/alloys.csv"), "Did you mean 'alloys_one'")
    result = call(*suite, "--task", "alloys_two", "--data", "alloys_two=data/alloys.csv", "--fold", 0)
    assert result.exit_code == 0, result.output
    assert only_record().spec.task == "alloys_two"
    assert only_record().source.name == "alloys.csv"
    result = call(*suite, "--data", "alloys_*=data/alloys.csv", "--fold", 0)
    assert result.exit_code == 0, result.output
    assert "2 runs, 1 of them done" in result.output
    alone = ["run", "--task", "tasks/alloys_one.toml", "--model", "dummy", "--results", "alone"]
    result = call(*alone, "--data", "alloys_one=data/alloys.csv", "--workers", 2)
    assert result.exit_code == 0, result.output
    assert len(RecordStore(Path("alone/records")).paths()) == 5


def test_a_suite_file_names_its_results_folder(tmp_path: Path) -> None:
    write_toy_suite(tmp_path)
    text = Path("toys.toml").read_text()
    Path("toys.toml").write_text('results = "elsewhere"\n' + text)
    result = call("run", "--suite", "toys.toml", "--fold", 0)
    assert result.exit_code == 0, result.output
    assert len(RecordStore(Path("elsewhere/records")).paths()) == 2


def test_fitted_models_are_kept_on_request() -> None:
    options = ("--model", "magpie_forest", "--set", "trees=5", "--ensemble", 2)
    assert small(*options).exit_code == 0
    assert not Path("results/models").exists()
    again = small(*options, "--keep-models")
    assert "the models of 1 runs were not kept; delete their records" in again.output
    RecordStore(Path("results/records")).paths()[0].unlink()
    assert small(*options, "--keep-models").exit_code == 0
    (record,) = RecordStore(Path("results/records")).paths()
    folder = Path("results/models") / record.relative_to("results/records").with_suffix("")
    assert sorted(path.name for path in folder.iterdir()) == ["member-0", "member-1"]
    assert isinstance(load_model(folder / "member-0"), MagpieForest)
    assert "not kept" not in small(*options, "--keep-models").output


def test_a_damaged_record_of_a_tuned_run_is_computed_again() -> None:
    options = ("--model", "magpie_forest", "--set", "trees=5", "--tune", 1)
    assert small(*options).exit_code == 0
    before = only_record()
    (path,) = RecordStore(Path("results/records")).paths()
    path.write_text(path.read_text()[:300])
    result = small(*options)
    assert result.exit_code == 0, result.output
    assert only_record().predictions == before.predictions


def test_options_change_the_protocol() -> None:
    assert small("--model", "dummy", "--inner-folds", 3, "--ensemble", 2, "--view", "unit_density").exit_code == 0
    spec = only_record().spec
    assert (spec.protocol.inner_folds, spec.protocol.ensemble, spec.view) == (3, 2, "unit_density")


def test_the_option_sets_the_number_of_members_of_all_models() -> None:
    Path("mine.toml").write_text(
        f'tasks = ["{ENERGY}"]\nmodels = ["dummy", {{ model = "magpie_forest", ensemble = 3 }}]\n', encoding="utf-8"
    )
    suite = chosen_suite("mine.toml", Selection(), ensemble=2)
    assert (suite.protocol.ensemble, [entry.ensemble for entry in suite.entries()]) == (2, [None, None])
    assert [entry.ensemble for entry in chosen_suite("mine.toml", Selection()).entries()] == [None, 3]


def test_a_view_in_a_file_needs_no_registration() -> None:
    Path("my_views.py").write_text(
        "import dataclasses\n"
        "from crystalbench.data.views import View\n"
        "large = View('large', 'nothing', lambda c: dataclasses.replace(c, lattices=2 * c.lattices))\n"
    )
    result = small("--model", "dummy", "--view", "my_views.py:large")
    assert result.exit_code == 0, result.output
    assert only_record().spec.view == "large"


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
    (found,) = parameters([given]).values()
    assert found == value
    assert type(found) is type(value)


def test_set_needs_a_name_and_a_value() -> None:
    for text in ("epochs", "=3", ""):
        with pytest.raises(ConfigError, match="write it as name=value"):
            parameters([text])
    failed(small("--model", "dummy", "--set", "epochs"), "--set 'epochs': write it as name=value")


# ---------------------------------------------------------------------- as a program


@pytest.mark.slow
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


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crystalbench", "list"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    wait_for(lambda: process.poll() is not None)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


# ---------------------------------------------------------------------- other folds


def test_other_folds_have_a_board_of_their_own_and_are_made_again_from_a_file() -> None:
    run = ("run", "--task", ENERGY, "--limit", 60, "--model", "dummy", "--results", "results", "--threads", 1)
    assert call(*run).exit_code == 0
    result = call(*run, "--folds", "element:Cu", "--folds-out", "copper.json")
    assert result.exit_code == 0, result.output
    assert "1 run, 0 of them done" in result.output
    assert f"{ENERGY}, folds: element:Cu (60 of 1,168 rows)" in " ".join(result.output.split())
    page = Path("results/leaderboard.md").read_text()
    assert page.index(f"## {ENERGY} (60") < page.index(f"## {ENERGY}, folds: element:Cu")
    assert "pooled MAE (eV/atom)" in page
    again = call(*run, "--folds", "copper.json")
    assert "1 run, 1 of them done" in again.output, again.output
    schemes = [row["fold_scheme"] for row in csv.DictReader(io.StringIO(Path("results/leaderboard.csv").read_text()))]
    assert sorted(set(schemes)) == ["element:Cu", "official"]


def test_the_command_of_a_record_repeats_its_folds() -> None:
    first = small("--model", "dummy", "--folds", "formula:k=4")
    assert first.exit_code == 0, first.output
    record = only_record()
    assert "--folds formula:k=4" in record.command
    again = call(*shlex.split(record.command)[1:], "--results", "results")
    assert "1 run, 1 of them done" in again.output, again.output


def test_mistakes_in_folds_are_explained() -> None:
    failed(small("--model", "dummy", "--folds", "formla"), "Did you mean 'formula'")
    failed(small("--model", "dummy", "--folds", "missing.json"), "missing.json: the folds cannot be read")
    failed(small("--model", "dummy", "--folds-out", "folds.csv"), "to a .json file")
    failed(small("--model", "dummy", "--folds", "element:U"), "none of the 60 rows contain U")


def test_fractions_of_the_training_part_become_a_learning_curve() -> None:
    run = ("run", "--task", ENERGY, "--limit", 60, "--model", "dummy", "--results", "results", "--threads", 1)
    result = call(*run, "--fold", 0, "--fold", 1, "--train-fraction", "0.3,0.6,1", "--inner-folds", 5)
    assert result.exit_code == 0, result.output
    assert "6 runs, 0 of them done" in result.output
    table = list(csv.DictReader(io.StringIO(Path("results/learning_curves.csv").read_text())))
    assert [(row["model"], row["fraction"], row["rows"]) for row in table] == [
        ("dummy", "0.3", "14"),
        ("dummy", "0.6", "30"),
        ("dummy", "1", "48"),
    ]
    assert "| model | 0.3 | 0.6 | 1 | power law |" in Path("results/learning_curves.md").read_text()
    assert len(list(csv.DictReader(io.StringIO(Path("results/leaderboard.csv").read_text())))) == 4
    failed(small("--model", "dummy", "--train-fraction", "0.5,2"), "give numbers above 0 and at most 1")


def test_the_boards_of_the_folds_that_were_run_are_shown() -> None:
    small("--model", "dummy")
    result = small("--model", "dummy", "--folds", "formula:k=3")
    assert result.exit_code == 0, result.output
    assert f"{ENERGY}, folds: formula:k=3,seed=0 (60 of" in result.output
    assert f"{ENERGY} (60 of" not in result.output
    assert f"{ENERGY} (60 of" in call("report").output
