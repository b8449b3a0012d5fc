"""Static figures: drawn with the same bytes at every call and with embedded fonts, whatever entries are called."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers import record

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.reports.figures import curves, error_against_cost, forest, pair_matrix, parity, write_figures
from crystalbench.reports.figures.ranks import cliques
from crystalbench.reports.figures.style import KINDS, WIDTH, shortened, style
from crystalbench.results import Results
from crystalbench.results.record import RecordedPredictions, Timings
from crystalbench.sees import Sees

HOSTILE = r"$\\frac$ a_b% <script>"


def results_of(tasks: tuple[str, ...] = ("x", "y"), kind: str = "regression") -> Results:
    entries = {HOSTILE: (1.0, 50.0, "structure"), "plain": (2.0, 5.0, "composition"), "dummy": (9.0, 0.0, "nothing")}
    metric = "mae" if kind == "regression" else "rocauc_true"
    records = []
    for task in tasks:
        for label, (score, fit, sees) in entries.items():
            for fold in range(5):
                ids = [f"{fold}-{i}" for i in range(6)]
                targets = [float(fold + i) for i in range(6)]
                records.append(
                    record(
                        scores={metric: score + 0.1 * np.sin(fold + score)},
                        metric=metric,
                        kind=kind,
                        task=task,
                        label=label,
                        model=label,
                        fold=fold,
                        sees=sees,
                        seconds=Timings(featurise=1, fit=fit, predict=0.1),
                        predictions=RecordedPredictions(ids=ids, targets=targets, values=[t + score for t in targets]),
                    )
                )
    return Results(records)


def board_of(results: Results) -> Board:
    return leaderboards(results.scores)[0]


def test_all_figures_are_written_with_the_same_bytes_at_every_call(tmp_path: Path) -> None:
    results = results_of()
    boards = leaderboards(results.scores)
    paths = write_figures(boards, results, tmp_path / "a")
    names = [f"{task}-{what}" for task in "xy" for what in ("scores", "costs", "parity", "pairs")]
    assert [path.name for path in paths] == [*names, "across-1-ranks"]
    with mpl.rc_context({"font.size": 20, "text.parse_math": True}):  # settings of the caller have no influence
        write_figures(boards[:1], results, tmp_path / "b")
    for stem in names[:4]:
        for ending in ("pdf", "svg"):
            content = (tmp_path / "a" / f"{stem}.{ending}").read_bytes()
            assert content == (tmp_path / "b" / f"{stem}.{ending}").read_bytes()
        pdf = (tmp_path / "a" / f"{stem}.pdf").read_bytes()
        assert b"/FontFile2" in pdf  # TrueType, as Type 42
        assert b"/Type3" not in pdf
        assert b"CreationDate" not in pdf


def test_figures_are_one_column_wide_and_name_every_ranked_entry() -> None:
    results = results_of()
    board = board_of(results)
    with style():
        drawn = [forest(board), error_against_cost(board), parity(board, results), pair_matrix(board)]
    for figure in drawn:
        assert figure is not None
        assert figure.get_size_inches()[0] == WIDTH
    assert drawn[0] is not None
    labels = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels()]
    assert labels == ["dummy", "plain", HOSTILE]  # in the order of what they see
    texts = [text.get_text() for text in drawn[0].axes[0].texts]
    assert {"tier", "nothing", "composition", "structure without chemistry"} < set(texts)


def test_the_costs_leave_the_dummy_out_and_mark_what_is_not_comparable() -> None:
    with style():
        figure = error_against_cost(board_of(results_of()))
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].texts] == [HOSTILE, "plain"]


def test_what_cannot_be_drawn_is_left_out() -> None:
    results = results_of(kind="binary")
    board = board_of(results)
    lone = board_of(results_of().select(model="plain", task="x"))
    with style():
        assert parity(board, results) is None
        assert error_against_cost(lone) is None
        assert pair_matrix(lone) is None


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    results = results_of(("x",))
    with pytest.raises(CrystalBenchError, match="the figures cannot be written"):
        write_figures(leaderboards(results.scores), results, tmp_path / "file")


def test_kinds_differ_in_their_markers() -> None:
    assert set(KINDS) == set(Sees)
    assert len({shape for _, shape in KINDS.values()}) == len(KINDS)


def test_long_names_lose_their_middle() -> None:
    assert shortened("short", 30) == "short"
    assert shortened("Finder_v1.2 composition-only version", 30) == "Finder_v1.2 co…n-only version"


@pytest.mark.parametrize(
    ("values", "difference", "expected"),
    [
        ([1.0, 1.5, 2.2, 4.0], 1.0, [(0, 1), (1, 2)]),
        ([1.0, 2.0, 3.0], 5.0, [(0, 2)]),
        ([1.0, 2.0, 3.0], 0.5, []),
        ([1.0, 1.0], 0.1, [(0, 1)]),
    ],
)
def test_bars_join_the_longest_runs_of_ranks(
    values: list[float], difference: float, expected: list[tuple[int, int]]
) -> None:
    assert cliques(values, difference) == expected


def test_learning_curves_have_their_intervals_and_power_laws() -> None:
    rows = [100, 200, 500, 1000]
    points = pd.DataFrame(
        {
            "task": "x",
            "model": np.repeat(["a_$b", "few"], [4, 2]),
            "fraction": [0.1, 0.2, 0.5, 1.0, 0.5, 1.0],
            "rows": [*rows, *rows[2:]],
            "score": [*(40.0 * n**-0.4 for n in rows), 5.0, 4.0],
            "low": np.nan,
            "high": np.nan,
            "metric": "mae",
            "unit": "eV",
            "fold_scheme": "element:O",
            "folds": 5,
            "seeds": 1,
        }
    )
    with style():
        figure = curves(points)
        figure.draw_without_rendering()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0].startswith("a_$b: 40 · n^−0.400")
    assert labels[1] == "few"  # two points have no power law
    assert figure.axes[0].get_ylabel() == "pooled MAE (eV)"
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
