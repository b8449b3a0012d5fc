from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from helpers import asked
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from rich.console import Console

from crystalbench.errors import CrystalBenchError
from crystalbench.records import Tuning
from crystalbench.reports.studies import (
    best_table,
    chosen,
    heading,
    importances,
    read_studies,
    to_optuna,
    to_suite,
    write_all,
)
from crystalbench.runs.suite import parse_suite
from crystalbench.studies import State, Study, StudyFiles, Trial
from crystalbench.tuning.space import space_as_json

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(1e-4, 1.0, log=True),
    "kind": CategoricalDistribution(("a", "b")),
}


def study(trials: int = 8, **changes: Any) -> Study:
    """Trial 5 is the best; x alone matters."""
    states: list[State] = ["failed" if n == 2 else "pruned" if n == 3 else "complete" for n in range(trials)]
    made = [
        Trial(
            number=n,
            state=state,
            parameters={"x": 0.001 * 1.3 ** abs(n - 5), "kind": "ab"[n % 2]},
            value=abs(n - 5) + 0.5 if state == "complete" else None,
            intermediate=[(5, 1.0 + n)],
            seconds=2.0,
        )
        for n, state in enumerate(states)
    ]
    parameters = {"x": 0.5, "kind": "a", "epochs": 7, "name": 'of "me"', "flag": True, "tiny": 1e-30}
    question = asked(model="cgcnn", parameters=parameters, tuning=Tuning(trials=trials, space="a" * 64))
    plain: dict[str, Any] = {"asked": question, "label": "mine", "metric": "mae", "higher_is_better": False}
    return Study(**{**plain, "unit": "eV", "space": space_as_json(SPACE), "trials": made, "finished": "now", **changes})


def shown(table: Any) -> str:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def test_the_table_has_the_best_configurations_and_the_one_that_was_asked() -> None:
    text = shown(best_table(study(), width=80))
    assert heading(study()) == "matbench_phonons · mine · fold 0: 8 of 8 trials (1 pruned, 1 failed), 16 s"
    header, _, values, *rows = (line.split() for line in text.splitlines() if line.strip())
    assert header == ["importance", "trial", "5", "trial", "4", "trial", "6", "as", "asked"]
    assert values == ["MAE", "/", "eV", "0.5", "1.5", "1.5", "5.5"]
    assert {row[0]: row[3:] for row in rows} == {
        "x": ["0.001", "0.0013", "0.0013", "0.00371"],
        "kind": ["b", "a", "a", "a"],
    }


def test_a_budget_of_minutes_is_not_a_number_of_trials() -> None:
    def with_minutes(trials: int) -> str:
        how = Tuning(minutes=0.2, space="a" * 64)
        return heading(study(trials, asked=study().asked.model_copy(update={"tuning": how})))

    start = "matbench_phonons · mine · fold 0: "
    assert with_minutes(12) == f"{start}12 trials on a budget of 0.2 minutes (1 pruned, 1 failed), 24 s"
    assert with_minutes(1) == f"{start}1 trial on a budget of 0.2 minutes, 2 s"


def test_importances_are_shares_and_need_some_trials() -> None:
    shares = importances(study(12))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["x"] > shares["kind"]
    assert importances(study(4)) == {}
    assert "importance" not in shown(best_table(study(4)))


def test_optuna_is_given_the_study_as_it_was() -> None:
    made = to_optuna(study())
    assert made.best_trial.number == 5
    assert [t.state.name for t in made.trials] == ["COMPLETE"] * 2 + ["FAIL", "PRUNED"] + ["COMPLETE"] * 4
    assert made.trials[0].distributions == SPACE
    assert made.trials[3].intermediate_values == {5: 4.0}


def test_the_winning_configuration_is_a_suite(tmp_path: Path) -> None:
    page, suite = write_all(study(), tmp_path)
    (entry,) = parse_suite(suite).entries()
    assert entry.model == "cgcnn"
    assert entry.label == "mine, fold 0's"
    assert entry.parameters == {**study().asked.parameters, "x": 0.001, "kind": "b"}
    assert type(entry.parameters["tiny"]) is float
    assert parse_suite(suite).tasks == ("matbench_phonons",)
    assert "Trial 5 of matbench_phonons-cgcnn-full-fold0" in suite.read_text()
    assert page.suffix == ".html"


def suite_text(**changes: Any) -> str:
    return to_suite(study(asked=study().asked.model_copy(update=changes)))


def test_registered_names_need_no_remark() -> None:
    assert [line[:3] for line in to_suite(study()).splitlines() if line.startswith("#")] == ["# T", "# F"]
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
def test_what_is_not_registered_has_a_remark_above(
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


def test_the_page_has_optunas_plots_and_their_program_beside_it(tmp_path: Path) -> None:
    page, _ = write_all(study(), tmp_path)
    text = page.read_text(encoding="utf-8")
    for title in ("Optimization History", "Hyperparameter Importances", "Slice Plot", "Parallel Coordinate"):
        assert title in text
    assert '<script src="plotly.min.js"></script>' in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1e6
    assert len(text) < 200_000


def test_a_study_without_a_finished_trial_has_a_page_and_no_suite(tmp_path: Path) -> None:
    (page,) = write_all(study(0), tmp_path)
    assert page.exists()
    with pytest.raises(ValueError, match="no trial was finished"):
        to_suite(study(0))
    (tmp_path / "file").write_text("")
    with pytest.raises(CrystalBenchError, match="cannot be written"):
        write_all(study(), tmp_path / "file")


def test_studies_are_chosen_and_damaged_ones_named(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path)
    files.write(study())
    other = study(4, label="other")
    files.write(other).write_text("{}")
    studies, (problem,) = read_studies(tmp_path, None)
    assert "is not a whole study" in str(problem)
    assert [s.label for s in studies] == ["mine"]
    assert not (tmp_path / "studies.sqlite3").exists()
    both = [*studies, other]
    assert chosen(both, [], ["cgcnn"], []) == both
    assert chosen(both, [], ["other"], [0]) == [other]
    assert chosen(both, ["matbench_dielectric"], [], []) == []
