"""Static figures for papers, made with matplotlib: PDF with embedded fonts, and SVG.

Each figure is one column (3.5 in) wide. Their style is one file, ``reports/data/paper.mplstyle``. The same records give
the same bytes at every call with the same version of matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.across import groups_across
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.learning_curves import learning_curves
from crystalbench.reports.figures.costs import error_against_cost
from crystalbench.reports.figures.curves import curves
from crystalbench.reports.figures.forest import forest
from crystalbench.reports.figures.pairs import pair_matrix
from crystalbench.reports.figures.parity import parity
from crystalbench.reports.figures.ranks import critical_difference
from crystalbench.reports.figures.style import FORMATS, save, style
from crystalbench.reports.names import file_stems
from crystalbench.results.loading import Results
from crystalbench.results.names import plain_name

__all__ = ["critical_difference", "curves", "error_against_cost", "forest", "pair_matrix", "parity", "write_figures"]


def write_figures(boards: Sequence[Board], results: Results, folder: Path) -> list[Path]:
    """Write the figures of all boards, of the learning curves, and of the average ranks across tasks.

    A figure for which there is nothing to draw is left out: the errors against costs without entries of ours, the
    parity of classifications, the pairs where nothing was tested.

    Args:
        boards: the boards.
        results: the results that they were made from, whose predictions are drawn.
        folder: folder of the files.

    Returns:
        The files without their endings, ``.pdf`` and ``.svg``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    stems = []
    for stem, draw in _figures(boards, results):
        with style():
            figure = draw()
            if figure is None:
                continue
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for ending in FORMATS:
                    save(figure, folder / f"{stem}.{ending}")
            except OSError as error:
                raise CrystalBenchError(
                    f"{folder}: the figures cannot be written ({error.strerror or error})"
                ) from error
        stems.append(folder / stem)
    return stems


def _figures(boards: Sequence[Board], results: Results) -> Iterator[tuple[str, Callable[[], Figure | None]]]:
    """Names of the files and functions that draw them."""
    for board, stem in zip(boards, file_stems(boards), strict=True):
        yield f"{stem}-scores", partial(forest, board)
        yield f"{stem}-costs", partial(error_against_cost, board)
        yield f"{stem}-parity", partial(parity, board, results)
        yield f"{stem}-pairs", partial(pair_matrix, board)
    frame = learning_curves(results.scores, results.predictions_on_other_folds)
    for (task, scheme), points in frame.groupby(["task", "fold_scheme"]):
        name = plain_name(f"{task}-{scheme}-learning-curve")
        yield name, partial(curves, points)
    for number, group in enumerate(groups_across(boards)[0], 1):
        yield f"across-{number}-ranks", partial(critical_difference, group)
