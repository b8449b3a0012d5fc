from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from helpers import spec
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from rich.console import Console
from rich.table import Table

from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.models import get_model, model_names, search_space
from crystalbench.reports.studies import (
    PAGES,
    best_table,
    chosen,
    heading,
    importances,
    read_studies,
    to_optuna,
    write_all,
)
from crystalbench.reports.winners import to_suite
from crystalbench.results.record import Decision
from crystalbench.results.spec import TuningSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import State, Study, Trial
from crystalbench.runs.suite import load_suite, parse_suite
from crystalbench.tasks import task_specs
from crystalbench.tuning.reading import FACTS
from crystalbench.tuning.space import space_as_json
from crystalbench.tuning.storage import Storage

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(1e-4, 1.0, log=True),
    "kind": CategoricalDistribution(("a", "b")),
}


def study(count: int = 8, **changes: Any) -> Study:
    """Trial 5 is the best; x alone matters."""
    states: list[State] = ["failed" if n == 2 else "pruned" if n == 3 else "complete" for n in range(count)]
    made = [
        Trial(
            number=n,
            state=state,
            error="no bowl" if state == "failed" else None,
            parameters={"x": 0.001 * 1.3 ** abs(n - 5), "kind": "ab"[n % 2]},
            value=abs(n - 5) + 0.5 if state == "complete" else None,
            intermediate=[(5, 1.0 + n)],
            seconds=2.0,
        )
        for n, state in enumerate(states)
    ]
    parameters = {"x": 0.5, "kind": "a", "epochs": 7, "name": 'of "me"', "flag": True, "tiny": 1e-30}
    question = spec(model="cgcnn", parameters=parameters, tuning=TuningSpec(trials=count, space="a" * 64))
    plain: dict[str, Any] = {"spec": question, "label": "mine", "metric": "mae", "higher_is_better": False}
    return Study(**{**plain, "unit": "eV", "space": space_as_json(SPACE), "trials": made, "finished": "now", **changes})


def of_values(*values: float | None, space: Mapping[str, BaseDistribution] = SPACE, **changes: Any) -> Study:
    """A study whose trials have these values of the metric; None failed."""
    made = []
    for n, value in enumerate(values):
        drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=n)).ask(dict(space)).params
        how: dict[str, Any] = {"state": "complete", "value": value}
        if value is None:
            how = {"state": "failed", "error": "ToyError: no x"}
        made.append(Trial(number=n, parameters=drawn, **how))
    return study(**{"trials": made, "space": space_as_json(space), **changes})


def shown(table: Table, width: int = 140) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def columns(table: Table) -> dict[str, list[Any]]:
    """The configurations of a table, by their names: cells from top to bottom."""
    return {str(c.header): list(c.cells) for c in table.columns if c.header not in ("", "importance")}


def test_the_table_has_the_best_configurations_and_the_initial_one() -> None:
    text = shown(best_table(study(12), width=70))
    counts = "8 of 8 trials (1 pruned, 1 failed), 16 s; failed with: no bowl"
    assert heading(study()) == f"matbench_phonons · mine · fold 0: {counts}"
    header, _, values, ranks, *rows = (line.split() for line in text.splitlines() if line.strip())
    assert header == ["importance", *["trial", "5", "trial", "4", "trial", "6", "initial"]]
    assert values == ["MAE", "(eV)", "0.5", "1.5", "1.5", "5.5"]
    assert ranks == ["rank", "of", "10", "1", "2", "3", "8"]
    assert {row[0]: row[3:] for row in rows} == {
        "x": ["0.001", "0.0013", "0.0013", "0.00371"],
        "kind": ["b", "a", "a", "a"],
    }


@pytest.mark.parametrize(
    ("values", "names", "ranks"),
    [
        ((3, 1, 2), ["trial 1", "trial 2", "initial"], ["1", "2", "3"]),
        ((9, 1, 2, 3, 4, 5, 6), ["trial 1", "trial 2", "trial 3", "trial 4", "initial"], ["1", "2", "3", "4", "7"]),
        ((3, 9, 1, 2, 4, 5, 6), ["trial 2", "trial 3", "initial", "trial 4", "trial 5"], ["1", "2", "3", "4", "5"]),
        ((None, 2, 1), ["trial 2", "trial 1", "initial"], ["1", "2", "–"]),
        ((None, 6, 5, 4, 3, 2, 1), ["trial 6", "trial 5", "trial 4", "trial 3", "initial"], ["1", "2", "3", "4", "–"]),
    ],
)
def test_at_most_five_configurations_including_the_initial_one(
    values: tuple[float | None, ...], names: list[str], ranks: list[str]
) -> None:
    found = columns(best_table(of_values(*values), width=200))
    assert list(found) == names
    assert [cells[1] for cells in found.values()] == ranks
    assert found["initial"][0] == ("failed" if values[0] is None else f"{values[0]}")


@pytest.mark.parametrize("model", [name for name in model_names() if search_space(get_model(name))])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_cell_is_wrapped_for_any_registered_model(model: str, width: int) -> None:
    longest = max((spec.target.unit for spec in task_specs().values()), key=len)
    space = search_space(get_model(model))
    wide = of_values(*range(12, 0, -1), space=space, unit=longest)
    table = best_table(wide, width)
    found, lines = columns(table), shown(table, width).splitlines()
    assert 2 <= len(found) <= 5
    assert importances(wide)
    assert len([line for line in lines if line.strip()]) == 2 + 2 + len(space)
    for cells in found.values():
        assert all(f" {cell}" in line for cell, line in zip(cells, lines[3:], strict=False))


def test_the_table_has_as_many_configurations_as_fit() -> None:
    space: dict[str, BaseDistribution] = {"kind": CategoricalDistribution(("w" * 20, "v" * 20))}
    some = of_values(*range(7), space=space)
    name, edges, each = len("rank of 7"), 2, 20 + 2  # two blanks separate columns
    for fit in (2, 3, 4, 5):
        width = edges + name + 1 + fit * each
        assert len(columns(best_table(some, width))) == fit
        assert len(columns(best_table(some, width - 1))) == max(2, fit - 1)
    assert len(columns(best_table(some, 20))) == 2
    assert len(columns(best_table(some, 1000))) == 5


def test_the_heading_of_a_study_without_a_completed_trial_gives_the_reason() -> None:
    def trial(n: int, error: str | None, state: State = "failed") -> Trial:
        return Trial(number=n, state=state, parameters={"x": 0.25, "kind": "b"}, error=error)

    how = TuningSpec(trials=6, space="a" * 64)
    question = study().spec.model_copy(update={"tuning": how})

    def of(*errors: str | None, running: int = 0) -> Study:
        made = [trial(n, error) for n, error in enumerate(errors)]
        made += [trial(len(made) + n, None, "running") for n in range(running)]
        return study(trials=made, spec=question, finished="") if made else study(0, spec=question, finished="")

    start = "matbench_phonons · mine · fold 0: "
    some = of("ToyError: a", "ToyError: b", "ToyError: b", None, "ToyError: b", "ToyError: c")
    assert heading(some) == f"{start}6 of 6 trials, 0 s, not finished; all failed, 3 of them with: ToyError: b"
    assert heading(of("same", "same", running=1)) == (
        f"{start}2 of 6 trials (1 running), 0 s, not finished; all failed with: same"
    )
    assert heading(of("it")) == f"{start}1 of 6 trials, 0 s, not finished; failed with: it"
    assert heading(of("it" * 5000)).endswith("iti…")
    assert len(heading(of("it" * 5000))) < 300
    assert heading(of(running=1)) == f"{start}0 of 6 trials (1 running), 0 s, not finished"
    assert columns(best_table(some)) == {"initial": ["failed", "b", "0.25"]}
    assert columns(best_table(of(running=1))) == {"initial": ["running", "b", "0.25"]}
    assert columns(best_table(of())) == {"initial": ["–", "a", "0.5"]}


def test_studies_that_differ_in_their_splits_have_other_headings() -> None:
    how = TuningSpec(trials=8, splits=2, space="a" * 64)
    two = study(spec=study().spec.model_copy(update={"tuning": how, "view": "unit_density"}))
    start = "matbench_phonons · mine · fold 0, view unit_density, scored on 2 inner folds with 2 seeds: 8 of 8 trials"
    assert heading(two).startswith(start)


def test_a_budget_of_minutes_is_not_a_number_of_trials() -> None:
    def with_minutes(trials: int) -> str:
        how = TuningSpec(minutes=0.2, space="a" * 64)
        return heading(study(trials, spec=study().spec.model_copy(update={"tuning": how})))

    start = "matbench_phonons · mine · fold 0: "
    end = "(1 pruned, 1 failed), 24 s; failed with: no bowl"
    assert with_minutes(12) == f"{start}12 trials on a budget of 0.2 minutes {end}"
    assert with_minutes(1) == f"{start}1 trial on a budget of 0.2 minutes, 2 s"


def test_importances_are_shares_and_need_some_trials() -> None:
    shares = importances(study(12))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["x"] > shares["kind"]
    assert study(9).count("complete") == 7
    assert importances(study(9)) == {}
    assert "importance" not in shown(best_table(study(9)))
    assert study(10).count("complete") == 8
    assert "importance" in shown(best_table(study(10)))


def test_a_study_is_converted_to_optuna_unchanged() -> None:
    made = to_optuna(study())
    assert made.best_trial.number == 5
    assert [t.state.name for t in made.trials] == ["COMPLETE"] * 2 + ["FAIL", "PRUNED"] + ["COMPLETE"] * 4
    assert made.trials[0].distributions == SPACE
    assert made.trials[3].intermediate_values == {5: 4.0}


DECIDED = Decision(
    kept=True,
    reason="default kept: gain 0.5 ± 1 over 6 evaluations (trial 5)",
    candidate=5,
    default_scores=[5.0, 5.5, 6.0, 5.0, 5.5, 6.0],
    candidate_scores=[4.0, 5.5, 6.0, 5.0, 5.5, 4.0],
    gain=0.5,
    standard_error=1.0,
)


def test_a_decision_is_in_the_heading_on_the_page_and_in_the_suite(tmp_path: Path) -> None:
    decided = study(decision=DECIDED)
    assert f"; {DECIDED.reason}" in heading(decided)
    assert DECIDED.reason not in heading(study(decision=DECIDED, finished=""))  # it may change
    page, suite = write_all(decided, tmp_path)
    text = page.read_text()
    assert DECIDED.reason in text
    assert "<tr><td>2</td><td>1</td><td>6</td><td>4</td><td>+2</td></tr>" in text
    assert "+0.5 ± 1" in text
    assert "Trial 0 of " in suite.read_text()
    (entry,) = parse_suite(suite).entries()
    assert entry.parameters == {**study().spec.parameters, **study().trials[0].parameters}


def test_the_winning_configuration_is_a_suite(tmp_path: Path) -> None:
    page, suite = write_all(study(), tmp_path)
    (entry,) = parse_suite(suite).entries()
    assert entry.model == "cgcnn"
    assert entry.label == "mine, fold 0"
    assert entry.parameters == {**study().spec.parameters, "x": 0.001, "kind": "b"}
    assert type(entry.parameters["tiny"]) is float
    assert parse_suite(suite).tasks == ("matbench_phonons",)
    assert "Trial 5 of matbench_phonons-cgcnn-full-fold0" in suite.read_text()
    assert page.suffix == ".html"


def suite_text(**changes: Any) -> str:
    return to_suite(study(spec=study().spec.model_copy(update=changes)))


def test_registered_names_need_no_comment() -> None:
    assert [line[:3] for line in to_suite(study()).splitlines() if line.startswith("#")] == ["# T", "# T"]
    assert suite_text(model="my_package.models:Mine").count("#") == 2  # a place that can be imported


@pytest.mark.parametrize(
    ("changes", "remark", "line"),
    [
        ({"task": "alloys"}, "# Not a registered task: write the path of its task file (.toml) instead.", "tasks = ["),
        (
            {"model": "toys.py:Mine"},
            '# Not a registered model: write where it is, "path/to/toys.py:Mine".',
            "models = [",
        ),
        ({"model": "gone"}, "# Not a registered model: install the package that has it.", "models = ["),
        ({"view": "mine"}, '# Not a registered view: write where it is, "path/to/file.py:name".', "views = ["),
    ],
)
def test_unregistered_names_have_a_comment_above(
    changes: dict[str, str], remark: str, line: str, tmp_path: Path
) -> None:
    text = suite_text(**changes)
    lines = text.splitlines()
    assert lines[lines.index(remark) + 1].startswith(line)
    assert text.count("#") == 3
    file = tmp_path / "suite.toml"
    file.write_text(text, encoding="utf-8")
    suite = parse_suite(file)
    (entry,) = suite.entries()
    found = {"task": suite.tasks[0], "model": entry.model, "view": suite.protocol.views[0]}
    assert found == {"task": "matbench_phonons", "model": "cgcnn", "view": "full", **changes}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("results/demo", "results/demo"),
        ("{here}/kept", "kept"),
        ("{here}", "."),
        (".", "."),
        ("../beside", "../beside"),
        ('{elsewhere}/of "me"', '{elsewhere}/of "me"'),
    ],
)
def test_a_winning_suite_writes_to_the_results_folder_of_its_study(
    given: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    places = {"here": here, "elsewhere": tmp_path / "elsewhere"}
    results = Path(given.format(**places))
    _, file = write_all(study(), results / "studies" / PAGES)
    assert load_suite(str(file)).results == written.format(**places)


def test_a_suite_outside_a_results_folder_names_no_results(tmp_path: Path) -> None:
    _, file = write_all(study(), tmp_path)
    assert "results" not in file.read_text()


def with_none(model: str, *names: str) -> str:
    """The suite of a study in which None won for these hyperparameters, the last of them in the specification."""
    best = Trial(number=0, state="complete", value=1.0, parameters=dict.fromkeys(names[:-1]))
    parameters = {"epochs": 7, names[-1]: None}
    return to_suite(study(trials=[best], spec=spec(model=model, parameters=parameters, tuning=study().spec.tuning)))


def test_a_best_value_of_none_gets_a_comment_because_toml_has_no_null(tmp_path: Path) -> None:
    text = with_none("toys.py:Mine", "depth", "cut")
    lines = text.splitlines()
    (at,) = (n for n, line in enumerate(lines) if "None" in line)
    assert lines[at] == (
        "# A suite cannot say that cut and depth = None and would use the default: "
        "run it with --set cut=null --set depth=null"
    )
    assert lines[at + 1] == "models = ["
    file = tmp_path / "suite.toml"
    file.write_text(text, encoding="utf-8")
    assert parse_suite(file).entries()[0].parameters == {"epochs": 7}


def test_a_default_of_none_needs_no_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with_none.py").write_text(
        "from dataclasses import dataclass\n"
        "from crystalbench.models.dummy import Dummy\n\n"
        "@dataclass\nclass Mine(Dummy):\n    depth: int | None = None\n    cut: int | None = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "that cut = None" in with_none("with_none:Mine", "depth", "cut")
    assert "None" not in with_none("with_none:Mine", "depth")
    assert "that depth = None" in with_none("not_here:Mine", "depth")
    assert "that depth = None" in with_none("gone", "depth")
    assert "that depth = None" in with_none("cgcnn", "depth")


def test_the_page_has_optunas_plots_and_shares_plotly(tmp_path: Path) -> None:
    page, _ = write_all(study(12), tmp_path)
    text = page.read_text(encoding="utf-8")
    for title in ("Optimization History", "Hyperparameter Importances", "Slice Plot", "Parallel Coordinate"):
        assert title in text
    assert '<script src="plotly.min.js"></script>' in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1e6
    assert len(text) < 200_000


def test_a_study_without_a_completed_trial_has_a_page_and_no_suite(tmp_path: Path) -> None:
    (page,) = write_all(study(0), tmp_path)
    assert page.exists()
    with pytest.raises(ValueError, match="no trial was completed"):
        to_suite(study(0))
    (tmp_path / "file").write_text("")
    with pytest.raises(CrystalBenchError, match="cannot be written"):
        write_all(study(), tmp_path / "file")


def test_studies_are_chosen_and_damaged_ones_named(tmp_path: Path) -> None:
    files = StudyStore(tmp_path)
    files.write(study())
    other = study(4, label="other")
    files.write(other).write_text("{}")
    studies, (problem,) = read_studies(tmp_path, None)
    assert "is not a complete study" in str(problem)
    assert [s.label for s in studies] == ["mine"]
    assert not (tmp_path / "studies.sqlite3").exists()
    both = [*studies, other]
    assert chosen(both, [], ["cgcnn"], []) == both
    assert chosen(both, [], ["other"], [0]) == [other]
    assert chosen(both, ["matbench_dielectric"], [], []) == []


def spoil(folder: Path, how: str) -> None:
    """Make the storage of running studies unreadable."""
    file = folder / "studies.sqlite3"
    if how == "garbage":
        file.write_bytes(b"garbage" * 1000)
        return
    create = Storage.below(folder)
    optuna.create_study(study_name="s", storage=create.database).set_user_attr(FACTS, {"from": "another version"})
    create.database.engine.dispose()
    if how == "cut":
        file.write_bytes(file.read_bytes()[:20_000])
    if how == "locked":  # as on a mount that is read-only
        (folder / "studies.sqlite3.lock").unlink(missing_ok=True)
        (folder / "studies.sqlite3.lock").mkdir()
    if how == "newer":
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
            database.commit()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("garbage", "file is not a database"),
        ("cut", "malformed"),
        ("locked", "Is a directory"),
        ("newer", "no longer compatible"),
        ("other facts", "is missing"),
    ],
)
def test_finished_studies_are_listed_if_running_ones_cannot_be_read(tmp_path: Path, how: str, why: str) -> None:
    StudyStore(tmp_path).write(study())
    spoil(tmp_path, how)
    studies, (problem,) = read_studies(tmp_path, None)
    assert studies == [study()]
    assert "studies.sqlite3" in str(problem)
    assert why in str(problem)
    with pytest.raises(ConfigError, match=why):
        read_studies(tmp_path, f"sqlite:///{tmp_path / 'studies.sqlite3'}")
