"""Numbers and names as text: the one place that decides how scores, units and entries look in every report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from crystalbench.evaluation.board import Board, Entry, Gain
from crystalbench.targets import Metric

SMALL, TINY, LARGE = 0.1, 1e-4, 1e7
"""Below the first, scores have three significant digits instead of four; below the second, an exponent, as from the
third."""

MISSING = "–"
"""Cell of a value that does not exist."""


def format_spec(size: float, *, best_is_one: bool = False) -> str:
    """Format specification for a score of this size.

    Four significant digits are shown, three below 0.1, and an exponent below 0.0001 and from 10⁷.

    Args:
        size: absolute value of the score.
        best_is_one: whether the best score is 1; such scores never get more than four decimals, because near 0 they
            say nothing.
    """
    if size == 0 or (size < SMALL and best_is_one):
        return ".4f"
    if size < TINY or size >= LARGE:
        return ".2e"
    digits = 4 if size >= SMALL else 3
    return f".{max(0, digits - 1 - math.floor(math.log10(size)))}f"


def score_text(entry: Entry, metric: Metric) -> str:
    """Mean ± std of an entry, with the same number of decimals; without std for a single fold, empty if undefined."""
    score = entry.scores.get(metric.name)
    if score is None:
        return ""
    digits = format_spec(abs(score.mean), best_is_one=metric.higher_is_better)
    mean, std = f"{score.mean:{digits}}", f"{score.std:{digits}}"
    if abs(score.mean) >= LARGE:  # 4.87e18 ± 6.8e17
        mean, std = mean.replace("e+", "e"), f"{score.std:.2g}".replace("e+", "e")
    return mean if entry.folds == 1 else f"{mean} ± {std}"


def number_text(value: float) -> str:
    """Four significant digits, with separators of thousands and without an exponent."""
    decimals = 3 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent_text(value: float, low: float, high: float) -> str:
    """A share in percent with its interval, which may be undefined (NaN)."""
    interval = "no interval" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
    return f"{100 * value:.1f} % ({interval})"


def metric_title(metric: Metric, unit: str, separator: str = " / ") -> str:
    """Label of a metric, with the unit of the target if the metric has it: ``MAE / eV``."""
    return metric.label + (f"{separator}{unit}" if metric.has_unit and unit else "")


def axis_title(name: str, unit: str) -> str:
    """Title of an axis: ``target / eV``."""
    return f"{name} / {unit}" if unit else name


def entry_title(entry: Entry) -> str:
    """Name of an entry, with how its hyperparameters were found."""
    return entry.model if entry.protocol == "default" else f"{entry.model} ({entry.protocol})"


def rows_text(board: Board) -> str:
    """Number of rows that were used, and of the complete task if it has more."""
    return f"{board.rows:,} of {board.rows_total:,} rows" if board.is_partial else f"{board.rows:,} rows"


def folds_text(entry: Entry) -> str:
    """Number of folds, with the number of seeds if there are several: ``5 × 3 seeds``, ``5 × 1–3 seeds``."""
    fewest, most = entry.seeds
    if most == 1:
        return str(entry.folds)
    return f"{entry.folds} × {most if fewest == most else f'{fewest}–{most}'} seeds"


def gain_text(gain: Gain) -> str:
    """Mean change through tuning, with its population standard deviation over the folds if there are several."""
    return f"{gain.mean:+.4g}" + (f" ± {gain.std:.2g}" if len(gain.folds) > 1 else "")


def optional(value: float | None, spec: str) -> str:
    """A formatted number, or nothing."""
    return "" if value is None else f"{value:{spec}}"


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], rule: Sequence[str] | None = None
) -> list[str]:
    """Lines of a Markdown table.

    Cells are not padded to equal widths, as tabulate does, so that one long name does not change every line of a
    committed file; and vertical bars within cells are escaped, which tabulate does not do.

    Args:
        header: titles of the columns.
        rows: cells of each row.
        rule: alignment of each column, e.g. ``---:``; left-aligned without spaces by default.
    """
    line = "|" + "---|" * len(header) if rule is None else markdown_row(rule)
    return [markdown_row(header), line, *map(markdown_row, rows)]
