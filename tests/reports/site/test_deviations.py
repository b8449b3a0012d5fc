"""Hyperparameters that all entries of a model share and that are not its defaults are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers import record

from crystalbench.evaluation.board import Entry
from crystalbench.models import Stack
from crystalbench.reports.site import Content, read_content, write_site
from crystalbench.reports.site.deviations import deviations, deviations_note
from crystalbench.results import Results
from crystalbench.results.record import RowCounts

ROWS = RowCounts(train=800, valid=212, test=253, task=1265, task_total=1265, task_folds=5)
SEES = "structure_and_chemistry"


def content_of(*configurations: tuple[str, dict[str, Any]]) -> Content:
    records = [
        record(10.0 + k + fold, model=model, label=model, fold=fold, parameters=parameters, rows=ROWS, sees=SEES)
        for k, (model, parameters) in enumerate(configurations)
        for fold in range(5)
    ]
    return read_content(Results(records), Path("nowhere"))


def shown(content: Content) -> dict[str, str]:
    def is_ours(entry: Entry) -> bool:
        return entry.source == "ours"

    return {entry.model: deviations(content, entry) for entry in filter(is_ours, content.boards[0].entries)}


def test_defaults_are_not_shown() -> None:
    content = content_of(("cgcnn", {"epochs": 200, "width": 64}), ("dummy", {}))
    assert shown(content) == {"cgcnn": "", "dummy": ""}
    assert deviations_note(content, content.boards[0]) == []


def test_what_entries_of_a_model_share_is_shown() -> None:
    content = content_of(("cgcnn", {"epochs": 20, "width": 64}), ("cgcnn", {"epochs": 20, "width": 32}))
    assert shown(content) == {"cgcnn (width=64)": "epochs=20", "cgcnn (width=32)": "epochs=20"}
    assert deviations_note(content, content.boards[0]) == [
        "Hyperparameters other than the present defaults of the model: cgcnn (width=64): epochs=20; "
        "cgcnn (width=32): epochs=20."
    ]


def test_members_of_stacks_are_in_their_names_and_models_from_elsewhere_have_no_defaults_here() -> None:
    stack = Stack(members="dummy + magpie_forest(trees=7)", inner=2).configuration()
    content = content_of(("stack", stack), ("mine.py:Net", {"epochs": 1}))
    assert list(shown(content).values()) == ["inner=2", ""]


def test_pages_show_them(tmp_path: Path) -> None:
    write_site(content_of(("cgcnn", {"epochs": 20, "width": 64}), ("dummy", {})), tmp_path)
    task = (tmp_path / "tasks" / "matbench_phonons.html").read_text(encoding="utf-8")
    assert ">cgcnn</a> <small>epochs=<wbr>20</small></th>" in task
    assert "Hyperparameters other than the present defaults of the model: cgcnn: epochs=20." in task
    assert "epochs=<wbr>20; " in (tmp_path / "index.html").read_text(encoding="utf-8")
