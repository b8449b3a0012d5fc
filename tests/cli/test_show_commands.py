"""Commands that only show something: lists, help, leaderboards, studies."""

from __future__ import annotations

import importlib.metadata
import itertools
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
from commands import ENERGY, call, failed, only_record, small
from helpers import record, write_formulas

from crystalbench import __version__
from crystalbench.cli.listing import _task_row
from crystalbench.data.views import view_names
from crystalbench.models import model_names
from crystalbench.results.store import RecordStore
from crystalbench.tasks import DataSources, task_specs


@pytest.mark.parametrize("arguments", [["list"], ["run", "--list"]])
def test_the_lists_are_complete(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 0
    for name in (*task_specs(), *model_names(), *view_names(), "demo", "matbench"):
        assert name in result.output


def test_the_lists_are_complete_without_optional_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    result = call("list")
    assert result.exit_code == 0
    assert "schnet" in result.output


def test_the_list_says_what_the_data_has(tmp_path: Path) -> None:
    spec, sources = task_specs()["matbench_perovskites"], DataSources(tmp_path)
    assert "structures" in _task_row(spec, sources)
    write_formulas(tmp_path)
    (tmp_path / "formulas.parquet").rename(tmp_path / "matbench_perovskites.parquet")
    assert "compositions" in _task_row(spec, sources)


def test_the_version() -> None:
    assert call("--version").output.strip() == __version__ == importlib.metadata.version("crystalbench")


def test_help_explains_every_option() -> None:
    for command in ("run", "report", "compare", "list", "studies", "fit", "predict"):
        assert call(command, "--help").exit_code == 0
    for option in ("--suite", "--task", "--model", "--fold", "--set", "--data-dir", "--results", "--offline"):
        assert option in call("run", "--help").output


def test_help_shows_the_defaults() -> None:
    text = call("run", "--help").output
    for default in ("demo", "per_fold", "5", "cpu"):
        assert f"[default: {default}]" in text
    assert "[default: usable cores / threads, at most the runs; what the cluster has room for]" in text
    assert text.count("[default: 1]") == 1  # threads


@pytest.mark.parametrize("width", [80, 100])
def test_help_uses_the_width_of_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("run", "studies"):
        lines = call(command, "--help").output.splitlines()
        assert "``" not in "\n".join(lines)
        assert "…" not in "\n".join(lines)
        start = next(i for i, line in enumerate(lines) if line.startswith((" Without options", " Studies are made")))
        text = [line.strip() for line in lines[start : lines.index(" " * width, start)]]
        assert text[-1].endswith(".")
        for line, following in itertools.pairwise(text):  # no line is broken although its next word would fit
            assert len(line) + 1 + len(following.split()[0]) > width - 2


# ---------------------------------------------------------------------- leaderboards


def test_report_rewrites_the_leaderboard() -> None:
    small("--model", "dummy")
    expected = Path("results/leaderboard.csv").read_text()
    Path("results/leaderboard.csv").write_text("edited by hand")
    result = call("report", "--results", "results")
    assert result.exit_code == 0
    assert "dummy" in result.output
    assert Path("results/leaderboard.csv").read_text() == expected


def test_report_writes_slices_when_asked() -> None:
    assert small("--model", "dummy", "--model", "magpie_forest", "--set", "trees=3").exit_code == 0
    assert not Path("results/slices.csv").exists()
    result = call("report", "--results", "results", "--slices", "--limit", 60)
    assert result.exit_code == 0, result.output
    assert "written: results/slices.csv" in result.output
    frame = pd.read_csv("results/slices.csv")
    assert list(frame.columns) == ["task", "model", "slice", "value", "rows", "mae", "low", "high"]
    whole = frame[frame["slice"] == "all"].set_index("model")
    records = {record.label: record for record in RecordStore(Path("results/records")).read_all()[0]}
    assert set(whole.index) == set(records) == {"dummy", "magpie_forest"}
    for name, made in records.items():
        assert whole.loc[name, "mae"] == pytest.approx(made.scores["mae"])
        assert whole.loc[name, "rows"] == made.rows.test
    split = frame[(frame["slice"] == "formula") & (frame["model"] == "dummy")]
    assert split["rows"].sum() == whole.loc["dummy", "rows"]
    assert not Path("results/conformal.csv").exists()  # no other fold calibrates


def test_uncertainty_is_reported() -> None:
    models = ("--model", "dummy", "--model", "magpie_forest", "--set", "trees=5")
    assert small(*models, "--fold", 1).exit_code == 0
    result = call("report")
    assert result.exit_code == 0, result.output
    calibration = pd.read_csv("results/calibration.csv")
    assert set(calibration["model"]) == {"magpie_forest"}
    assert set(calibration["folds"]) == {2}
    assert "magpie_forest: 90 % intervals cover" in Path("results/calibration.md").read_text()
    result = call("report", "--slices", "--limit", 60)
    assert result.exit_code == 0, result.output
    for name in ("slices.csv", "conformal.csv", "conformal.md", "ceiling.csv", "ceiling.md"):
        assert f"results/{name}" in result.output
        assert Path(f"results/{name}").exists()
    conformal = pd.read_csv("results/conformal.csv")
    assert set(zip(conformal["model"], conformal["method"], strict=True)) == {
        ("dummy", "plain"),
        ("magpie_forest", "plain"),
        ("magpie_forest", "normalised"),
    }
    whole = conformal[conformal["slice"] == "all"]
    tested = sum(made.rows.test for made in RecordStore(Path("results/records")).read_all()[0] if made.label == "dummy")
    assert (whole["rows"] == tested).all()
    assert whole["coverage"].between(0.7, 1).all()
    ceiling = pd.read_csv("results/ceiling.csv")
    assert set(ceiling["bound"]) == {"in_sample", "leave_one_out"}
    assert set(ceiling["rows"]) <= {60, *range(60)}


def test_runs_on_other_folds_and_fractions_have_no_slices() -> None:
    small("--model", "dummy")
    small("--model", "dummy", "--train-fraction", "0.5")
    small("--model", "dummy", "--folds", "formula")
    result = call("report", "--slices", "--limit", 60)
    assert result.exit_code == 0, result.output
    assert "no slices" not in result.output
    frame = pd.read_csv("results/slices.csv")
    assert set(frame["model"]) == {"dummy"}
    assert len(frame[frame["slice"] == "all"]) == 1


def test_slices_need_the_data_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTALBENCH_DATA", str(Path.cwd()))
    RecordStore(Path("results/records")).write(record())
    says = ("The data of 1 task is missing", "matbench_phonons", "--data-dir", "there are no slices")
    failed(call("report", "--results", "results", "--slices"), *says)
    RecordStore(Path("results/records")).write(record(task="mine"))
    failed(call("report", "--results", "results", "--slices"), "mine: is not a registered task; name its task file")
    failed(call("report", "--results", "results", "--limit", 60), "add --slices")


def test_slices_of_other_rows_are_left_out() -> None:
    small("--model", "dummy")
    failed(call("report", "--results", "results", "--slices"), "1 of 1 records are of other rows", "--limit")


def test_report_writes_tables_and_figures_for_papers() -> None:
    for label in ("dummy", "a_b"):
        for fold in range(5):
            RecordStore(Path("results/records")).write(
                record(1.0 + fold, fold=fold, task="mine", label=label, model=label)
            )
    result = call("report", "--latex", "tables", "--figures", "figures")
    assert result.exit_code == 0, result.output
    assert "a\\_b" in Path("tables/mine.tex").read_text()
    assert Path("figures/mine-scores.pdf").read_bytes().startswith(b"%PDF")
    assert "written: " in result.output
    assert {path.name for path in Path("results").iterdir()} == {
        "across.csv",
        "leaderboard.csv",
        "leaderboard.md",
        "pairs.csv",
        "records",
    }


def test_report_leaves_out_damaged_records() -> None:
    small("--model", "dummy")
    small("--model", "magpie_forest", "--set", "trees=3")
    (path,) = Path("results/records").glob("*/dummy/*.json")
    path.write_text(path.read_text().replace('"test": ', '"test": 1'))
    result = call("report", "--results", "results")
    failed(result, "not counted", "was changed after it was written")
    assert ",dummy," not in Path("results/leaderboard.csv").read_text()
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
    assert "MAE ([eV])" in result.output


# ---------------------------------------------------------------------- tuning


def test_a_tuned_run_has_its_own_row_and_its_study_can_be_shown() -> None:
    model = ("--model", "magpie_forest", "--set", "trees=5")
    assert small(*model).exit_code == 0
    result = small(*model, "--tune", 5)
    assert result.exit_code == 0, result.output
    assert "magpie_forest · fold 0, tuned  MAE" in result.output
    assert "tuned with 5 trials in" in result.output
    assert "magpie_forest (tuned)" in result.output
    assert "1 run, 1 of them done" in small(*model, "--tune", 5).output
    found = {r.spec.tuning is not None: r for r in RecordStore(Path("results/records")).read_all()[0]}
    assert set(found) == {True, False}
    assert found[True].spec.parameters == found[False].spec.parameters
    assert found[True].tuned is not None
    assert found[True].tuned.trials == 5
    again = call(*shlex.split(found[True].command)[1:], "--results", "again", "--threads", 1)
    assert again.exit_code == 0, again.output
    repeated = only_record("again")
    assert (repeated.spec, repeated.predictions) == (found[True].spec, found[True].predictions)

    shown = call("studies", "--results", "results")
    assert shown.exit_code == 0, shown.output
    assert f"{ENERGY} · magpie_forest · fold 0: 5 of 5 trials" in shown.output
    assert "initial" in shown.output or found[True].tuned.trial == 0
    pages = Path("results/studies/pages")
    assert not pages.exists()
    shown = call("studies", "--show", "--results", "results", "--task", ENERGY, "--model", "magpie_forest", "--fold", 0)
    assert "written: 1 page and 1 suite in results/studies/pages\n" in shown.output
    suite = pages / f"{found[True].tuned.study}.toml"
    won = call("run", "--suite", suite, "--limit", 60, "--fold", 0, "--results", "won", "--threads", 1)
    assert won.exit_code == 0, won.output
    assert only_record("won").spec.parameters == {**found[True].spec.parameters, **found[True].tuned.parameters}


def test_missing_studies_are_reported() -> None:
    failed(
        call("studies", "--results", "nowhere"),
        "nowhere/studies: there are no studies; tune first (crystalbench run --tune)",
    )


def test_studies_of_a_model_in_a_file_are_found_by_its_path_and_missing_ones_reported() -> None:
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
        shown = call("studies", "--model", given)
        assert shown.exit_code == 0, shown.output
        assert f"{ENERGY} · Plain · fold 0: 1 of 1 trials" in shown.output
    failed(
        call("studies", "--model", "nope"),
        "Unknown model of the studies in results/studies 'nope'. Known: Plain, plain",
    )
    failed(call("studies", "--fold", 77, "--show"), "there is no study of fold 77; there are studies of fold 0\n")
    assert not Path("results/studies/pages").exists()


def test_a_damaged_study_is_named() -> None:
    small("--model", "magpie_forest", "--set", "trees=5", "--tune", 1)
    (file,) = Path("results/studies").glob("*/*/*.json")
    file.write_text("{}")
    failed(call("studies", "--results", "results"), "left out", "is not a complete study")


def test_an_unusable_storage_is_reported_before_any_work() -> None:
    options = ("--tune", 2, "--storage", "postgresql://me:secret@127.0.0.1:1/db")
    failed(small("--model", "magpie_forest", *options), "storage postgresql", "is the server running")
    failed(small("--model", "magpie_forest", "--tune", 2, "--storage", "studies.db"), "is not a URL")
    assert RecordStore(Path("results/records")).paths() == []
    assert small("--model", "dummy", *options).exit_code == 0  # has nothing to tune


def test_the_list_of_a_suite_says_what_is_an_ensemble_and_what_the_protocol_is() -> None:
    Path("own.toml").write_text(
        f'name = "own"\ntasks = ["{ENERGY}"]\nmodels = ["dummy", {{ model = "cgcnn", ensemble = 5, seeds = [1, 2] }}, '
        '{ model = "magpie_forest", ensemble = 1 }]\n'
        "[protocol]\ninner_folds = 6\nensemble = 2\n[tuning]\ntrials = 7\n"
    )
    result = call("run", "--suite", "own.toml", "--list")
    assert result.exit_code == 0, result.output
    for label in ("dummy x2", "cgcnn x5", "magpie_forest  "):
        assert label in result.output
    assert (
        "Protocol: ensembles of 2 (xN: ensembles of N), official folds, 6 inner folds, seeds 0, views full, "
        "tuned with 7 trials.\nWith seeds 1 2 instead: cgcnn x5.\n"
    ) in result.output
    assert "ensembles of" not in call("run", "--list").output


def test_the_list_of_a_suite_has_its_tasks_models_and_views_only() -> None:
    Path("own.toml").write_text(
        f'name = "own"\ntasks = ["{ENERGY}"]\n[[models]]\nmodel = "magpie_forest"\nlabel = "small forest"\n'
        'parameters = {trees = 7}\n[protocol]\nviews = ["anonymous"]\n'
    )
    result = call("run", "--suite", "own.toml", "--list")
    assert result.exit_code == 0, result.output
    for text in (ENERGY, "small forest", "trees=7", "anonymous"):
        assert text in result.output
    for text in ("demo_bulk_modulus", "cgcnn", "unit_density", "Suites"):
        assert text not in result.output
    failed(call("run", "--suite", "nope", "--list"), "nope")


@pytest.mark.parametrize("command", ["run", "report", "studies"])
@pytest.mark.parametrize("folder", ["", " "])
def test_an_empty_folder_of_results_is_refused(command: str, folder: str) -> None:
    result = call(command, "--results", folder)
    assert result.exit_code == 2
    assert "it is empty" in result.output
    assert list(Path().iterdir()) == []
