"""Numbers and names as text: the one place that decides how scores, units and entries look in every report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.evaluation.board import Board, Difference, Entry
from crystalbench.targets import OFFICIAL, Metric

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
    """Mean ± std of an entry, with the same number of decimals; a single fold and a pooled score have no std.

    If the metric is undefined on some fold, the text says why. It is empty if the metric is not known.
    """
    if folds := entry.undefined.get(metric.name):
        return f"undefined ({metric.undefined_for or 'no value'} in {folds_list(folds)})"
    score = entry.scores.get(metric.name)
    if score is None:
        return ""
    digits = format_spec(abs(score.mean), best_is_one=metric.higher_is_better)
    mean, std = f"{score.mean:{digits}}", f"{score.std:{digits}}"
    if abs(score.mean) >= LARGE:  # 4.87e18 ± 6.8e17
        mean, std = mean.replace("e+", "e"), f"{score.std:.2g}".replace("e+", "e")
    return mean if entry.folds == 1 or math.isnan(score.std) else f"{mean} ± {std}"


def number_text(value: float) -> str:
    """Four significant digits, with separators of thousands and without an exponent."""
    decimals = 3 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent_text(value: float, low: float, high: float) -> str:
    """A share in percent with its interval, which may be undefined (NaN)."""
    interval = "no interval" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
    return f"{100 * value:.1f} % ({interval})"


def metric_title(metric: Metric, unit: str) -> str:
    """Label of a metric, with the unit of the target if the metric has it: ``MAE (eV/atom)``."""
    return axis_title(metric.label, unit if metric.has_unit else "")


def axis_title(name: str, unit: str) -> str:
    """Title of an axis: ``target (eV/atom)``."""
    return f"{name} ({unit})" if unit else name


def entry_title(entry: Entry) -> str:
    """Name of an entry, with how its hyperparameters were found."""
    return entry.model if entry.protocol == "default" else f"{entry.model} ({entry.protocol})"


def full_title(entry: Entry) -> str:
    """Title of an entry, with the view unless it is the full one."""
    return entry_title(entry) if entry.view == FULL else f"{entry_title(entry)} ({entry.view})"


def names_of(boards: Iterable[Board]) -> dict[str, str]:
    """Titles of all entries with predictions, by configuration."""
    return {
        entry.configuration: full_title(entry) for board in boards for entry in board.entries if entry.configuration
    }


def names_text(entries: Sequence[Entry], everyone: Sequence[Entry]) -> str:
    """Titles of entries, or ``all`` of them."""
    return "all of ours" if len(entries) == len(everyone) > 1 else ", ".join(map(full_title, entries))


def short_digest(digest: str) -> str:
    """The first characters of a digest, to tell data apart."""
    return digest[:8]


def rows_text(board: Board) -> str:
    """Number of rows that were used, and of the complete task if it has more."""
    return f"{board.rows:,} of {board.rows_total:,} rows" if board.is_partial else f"{board.rows:,} rows"


def size_text(row: Mapping[Any, Any] | pd.Series[Any], what: str = "rows") -> str:
    """Size of the task of a row of a probe's table, with its folds: ``60 of 1,265 rows, folds formula``."""
    total = f" of {row['rows_total']:,}" if row.get("rows_total", 0) > row["rows"] else ""
    folds = "" if row["fold_scheme"] == OFFICIAL else f", folds {row['fold_scheme']}"
    return f"{row['rows']:,}{total} {what}{folds}"


def folds_text(entry: Entry, total: int) -> str:
    """Number of folds, with the number of seeds if there are several: ``5 × 3 seeds``, ``5 × 1–3 seeds``.

    If folds are missing, those that are there are listed: ``2 (0,3)``.
    """
    fewest, most = entry.seeds
    seeds = "" if most == 1 else f" × {most if fewest == most else f'{fewest}–{most}'} seeds"
    there = ",".join(map(str, entry.fold_numbers))
    return f"{entry.folds}{seeds}" + ("" if entry.folds >= total else f" ({there})")


def folds_list(folds: Iterable[int]) -> str:
    """Folds by number: ``fold 2``, ``folds 0, 3``."""
    numbers = sorted(folds)
    return f"fold{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"


def difference_text(difference: Difference, entry: Entry, metric: Metric) -> str:
    """Mean difference between an entry and another one, with its sign and the decimals of the entry's score."""
    score = entry.scores[metric.name]
    return f"{difference.mean:+{format_spec(abs(score.mean), best_is_one=metric.higher_is_better)}}".replace("-", "−")


def gain_text(gain: Difference) -> str:
    """Mean change through tuning, with its population standard deviation over the folds if there are several."""
    return f"{gain.mean:+.4g}" + (f" ± {gain.std:.2g}" if len(gain.folds) > 1 and gain.pooled is None else "")


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
