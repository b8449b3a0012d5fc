from __future__ import annotations

import pytest
from helpers import record

from crystalbench.evaluation.board import PUBLISHED, Board, Entry, Score
from crystalbench.evaluation.leaderboard import leaderboard, leaderboards
from crystalbench.evaluation.pretraining import data_sets, published_facts, verdict
from crystalbench.evaluation.published import merged
from crystalbench.reports.boards import places
from crystalbench.reports.notes import notes
from crystalbench.results.frames import scores_frame
from crystalbench.tasks.genome import TASKS as GENOME
from crystalbench.tasks.matbench.official import OFFICIAL

TASK = "matbench_log_kvrh"
LEAKS = "pretrained on logK_MP_2019, which contains the labels of this task"


def test_tables_name_official_tasks_known_data_sets_and_sources() -> None:
    for name, facts in data_sets().items():
        assert facts.labels, name
        assert facts.labels | facts.related <= {*OFFICIAL, *(spec.name for spec in GENOME)}, name
        assert not facts.labels & facts.related, name
        assert facts.source, name
    for name, known in published_facts().items():
        assert known.pretrained_on <= set(data_sets()), name
        assert known.source, name


def test_labels_refuse_related_data_flag_and_unknown_data_sets_flag() -> None:
    assert verdict(["logK_MP_2019"], TASK).refused == LEAKS
    assert verdict(["logK_MP_2019", "logG_MP_2019"], TASK).flagged == ""  # it is refused already
    assert verdict(["logG_MP_2019"], TASK).refused == ""
    assert "other properties" in verdict(["logG_MP_2019"], TASK).flagged
    assert "it is not known" in verdict(["my data"], TASK).flagged
    assert verdict([], TASK) == verdict(["logK_MP_2019"], "matbench_jdft2d")


def board_of(**pretrained_on: list[str]) -> Board:
    """A board of models whose names are given; each is better than those after it."""
    records = [
        record(float(i + 1), task=TASK, fold=fold, model=name, label=name, pretrained_on=seen)
        for i, (name, seen) in enumerate(pretrained_on.items())
        for fold in range(5)
    ]
    (board,) = leaderboards(scores_frame(records))
    return board


def test_a_refused_entry_is_shown_apart_and_is_never_the_best() -> None:
    board = board_of(leaky=["logK_MP_2019"], honest=[], related=["MPtrj"])
    mine = [entry for entry in board.entries if entry.by_row]
    assert [entry.model for entry in mine] == ["honest", "related", "leaky"]
    ranks = dict(zip([entry.model for entry in board.entries], places(board), strict=True))
    assert ranks["leaky"] is None
    assert ranks["related"] == ranks["honest"] + 1
    assert board.best(mine) is mine[0]
    text = "\n".join(notes(board))
    assert f"Not ranked, since a pretrained part has seen the labels: leaky ({LEAKS})" in text
    assert "related (pretrained on MPtrj, which has other properties" in text
    frame = leaderboard(scores_frame([record(1.0, task=TASK, fold=0, pretrained_on=["logK_MP_2019"])]))
    assert frame.loc[frame["source"] == "ours", "refused"].unique().tolist() == [LEAKS]


def test_facts_about_a_published_algorithm_join_its_imported_entry() -> None:
    name = "MODNet@MatterVial (MEGNet and matminer)"
    entry = Entry(
        model=name,
        protocol="default",
        view="full",
        scores={"mae": Score(0.028, 0.001)},
        folds=5,
        seeds=(1, 1),
        rows=10987,
        rows_total=10987,
        fit_seconds=None,
        parameters=None,
        source=PUBLISHED,
        note="by mail",
        by_row=True,
    )
    (joined,) = merged([entry], [], 5)
    assert set(joined.pretrained_on) == published_facts()[name].pretrained_on
    assert joined.note == "not on the leaderboard; by mail"


@pytest.mark.parametrize("task", ["matbench_log_kvrh", "matbench_log_gvrh", "matbench_mp_is_metal"])
def test_mattervial_is_refused_where_its_networks_saw_the_labels(task: str) -> None:
    for name in ("MODNet@MatterVial (MEGNet and matminer)", "MODNet@MatterVial (matminer)"):
        assert verdict(published_facts()[name].pretrained_on, task).refused
        assert not verdict(published_facts()[name].pretrained_on, "matbench_jdft2d").refused
