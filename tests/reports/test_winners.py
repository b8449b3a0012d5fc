"""The suite of the best configuration of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import spec
from toy_studies import study

from crystalbench.reports.studies import (
    PAGES,
    write_all,
)
from crystalbench.reports.winners import to_suite
from crystalbench.results.study import Trial
from crystalbench.runs.suite import load_suite, parse_suite


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
