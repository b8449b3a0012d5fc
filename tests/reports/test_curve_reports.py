from __future__ import annotations

from pathlib import Path

import pytest
from helpers import record

from crystalbench.errors import UnknownNameError
from crystalbench.evaluation.learning_curves import learning_curves
from crystalbench.reports.learning_curves import curves_markdown, write_learning_curves
from crystalbench.reports.plots import learning_curve
from crystalbench.results import Results
from crystalbench.results.record import RowCounts


@pytest.fixture
def results() -> Results:
    records = []
    for share, mae in ((0.1, 8.0), (0.5, 4.0), (None, 2.0)):
        n = round(800 * (share or 1))
        rows = RowCounts(train=n - 8, valid=8, test=200, task=1000, task_total=1000, task_folds=2)
        records += [record(mae + fold, task="mine", fold=fold, train_fraction=share, rows=rows) for fold in range(2)]
    return Results(records)


def test_the_page_has_a_column_for_each_fraction_and_the_power_law(results: Results, tmp_path: Path) -> None:
    curves = learning_curves(results.scores)
    page = curves_markdown(curves)
    assert "| model | 0.1 | 0.5 | 1 | power law |" in page
    row = next(line for line in page.splitlines() if line.startswith("| dummy"))
    assert "8.500 [2.147, 14.853], n = 80" in row
    assert "· n^−0.5" in row
    assert "MAE (cm⁻¹) by fraction" in page
    paths = write_learning_curves(curves, tmp_path)
    assert [path.name for path in paths] == ["learning_curves.csv", "learning_curves.md"]
    assert paths[0].read_text().startswith("task,model,fraction,rows,score,low,high,")


def test_the_figure_has_points_with_intervals_and_a_line(results: Results) -> None:
    figure = learning_curve(results, "mine")
    points, line = figure.data
    assert list(points.x) == [80, 400, 800]
    assert list(points.y) == [8.5, 4.5, 2.5]
    assert points.error_y.array[0] == pytest.approx(6.353, abs=1e-3)
    assert line.mode == "lines"
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    with pytest.raises(UnknownNameError, match="Did you mean 'mine'"):
        learning_curve(results, "mines")
