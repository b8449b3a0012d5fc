"""Studies on screen and as pages."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from rich.console import Console
from rich.table import Table
from toy_studies import SPACE, of_values, study

from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.models import get_model, model_names, search_space
from crystalbench.reports.studies import (
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
from crystalbench.runs.suite import parse_suite
from crystalbench.tasks import task_specs
from crystalbench.tuning.reading import FACTS
from crystalbench.tuning.storage import Storage


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
