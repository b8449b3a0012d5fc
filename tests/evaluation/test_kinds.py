from __future__ import annotations

import pytest
from helpers import record

from crystalbench.evaluation.kinds import COMPOSITION_TASKS, best_of_kinds, kind_of
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.published import published_scores
from crystalbench.models import get_model, model_names
from crystalbench.results.frames import scores_frame
from crystalbench.sees import Sees
from crystalbench.tasks import task_specs


def test_every_published_entry_has_a_kind() -> None:
    table = published_scores()[["task", "algorithm"]].drop_duplicates()
    kinds = {(task, name): kind_of(name, task) for task, name in table.itertuples(index=False)}
    assert Sees.UNDECLARED not in kinds.values()
    assert kinds["matbench_phonons", "MODNet (v0.1.12)"] is Sees.DESCRIPTORS
    assert kinds["matbench_mp_e_form", "eComFormer [history]"] is Sees.EQUIVARIANT
    assert kinds["matbench_mp_e_form", "Lattice-XGBoost"] is Sees.STRUCTURE


def test_an_unknown_algorithm_is_undeclared() -> None:
    assert kind_of("NovelNet", "matbench_phonons") is Sees.UNDECLARED


def test_published_entries_see_no_structure_where_there_is_none() -> None:
    official = [spec for name, spec in task_specs().items() if name.startswith("matbench_")]
    assert {spec.name for spec in official if not spec.has_structures} == COMPOSITION_TASKS
    assert kind_of("MODNet (v0.1.12)", "matbench_steels") is Sees.COMPOSITION
    assert kind_of("gptchem", "matbench_glass") is Sees.PRETRAINED


def test_the_best_of_each_kind_in_the_order_of_the_kinds() -> None:
    maes = {"a": ("structure", 3.0), "b": ("composition", 2.0), "c": ("structure", 1.0), "d": ("composition", 4.0)}
    records = [
        record(mae, task="mine", fold=fold, label=label, model=label, sees=sees)
        for label, (sees, mae) in maes.items()
        for fold in range(5)
    ]
    (board,) = leaderboards(scores_frame(records))
    found = [(best.kind, best.entry.model, best.rank, best.entries) for best in best_of_kinds(board)]
    assert found == [(Sees.COMPOSITION, "b", 2, 2), (Sees.STRUCTURE, "c", 1, 2)]


@pytest.mark.parametrize(("second", "expected"), [("structure", "structure"), ("composition", "composition")])
def test_an_entry_whose_runs_see_different_things_counts_as_the_most(second: str, expected: str) -> None:
    records = [record(1.0, task="mine", sees="composition"), record(1.0, task="mine", fold=1, sees=second)]
    (board,) = leaderboards(scores_frame(records))
    (entry,) = board.entries
    assert entry.sees == expected


@pytest.mark.parametrize("name", model_names())
def test_the_table_says_of_our_models_what_their_classes_declare(name: str) -> None:
    assert kind_of(name, "demo") is get_model(name)().sees
