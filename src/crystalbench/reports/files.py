"""Leaderboards as files: CSV for programs, Markdown for people."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from crystalbench._files import write_text
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.leaderboard import OURS, Board, Entry, Gain
from crystalbench.targets import METRICS, Metric

COLUMNS = (
    "task",
    "model",
    "protocol",
    "view",
    "metric",
    "mean",
    "std",
    "folds",
    "rows",
    "rows_total",
    "fit_seconds",
    "parameters",
    "source",
    "trials",
    "tuning_seconds",
    "tuned_minus_default",
    "tuned_minus_default_std",
    "tuned_minus_default_by_fold",
    "default_kept_on_folds",
)
"""Columns of leaderboard.csv; programs read them, so they stay as they are."""

SMALL, TINY = 0.1, 1e-4
"""Below the first, scores have three significant digits instead of four; below the second, an exponent."""


def write_leaderboards(boards: Sequence[Board], folder: Path) -> list[Path]:
    """Write ``leaderboard.csv`` and ``leaderboard.md``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    files = {"leaderboard.csv": to_csv(boards), "leaderboard.md": to_markdown(boards)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_text(folder / name, text)
    except OSError as error:
        raise CrystalBenchError(f"{folder}: the leaderboard cannot be written ({error.strerror or error})") from error
    return [folder / name for name in files]


def to_csv(boards: Sequence[Board]) -> str:
    """One row per task, entry and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for board in boards:
        for entry in board.entries:
            for metric in board.metrics:
                if metric.name in entry.scores:
                    writer.writerow(_csv_row(board, entry, metric))
    return text.getvalue()


def _csv_row(board: Board, entry: Entry, metric: Metric) -> list[object]:
    score = entry.scores[metric.name]
    seconds = "" if entry.fit_seconds is None else f"{entry.fit_seconds:.2f}"
    parameters = "" if entry.parameters is None else entry.parameters
    gain = entry.gain.get(metric.name)
    return [
        board.task,
        entry.model,
        entry.protocol,
        entry.view,
        metric.name,
        f"{score.mean:.8g}",
        f"{score.std:.8g}",
        entry.folds,
        entry.rows,
        entry.rows_total,
        seconds,
        parameters,
        entry.source,
        "" if entry.trials is None else entry.trials,
        "" if entry.tuning_seconds is None else f"{entry.tuning_seconds:.2f}",
        "" if gain is None else f"{gain.mean:.8g}",
        "" if gain is None else f"{gain.std:.8g}",
        "" if gain is None else " ".join(f"{fold}:{value:.8g}" for fold, value in gain.folds.items()),
        " ".join(map(str, sorted(entry.kept))),
    ]


def to_markdown(boards: Sequence[Board]) -> str:
    """A table for each task."""
    parts = [
        "# Leaderboard",
        "",
        "Made from the records by `python -m benchmarks.report`; nothing here is typed by hand. Scores are mean ± "
        "population standard deviation over the official folds, as Matbench reports them; rows in bold are runs of "
        "CrystalBench, the others are published Matbench v0.1 entries (materialsproject/matbench, commit 936176d). "
        "Seconds are those of fitting one fold on the machine named in each record.",
    ]
    for board in boards:
        parts += ["", f"## {heading(board)}", ""]
        parts += [part for note in notes(board) for part in (note, "")]
        parts += _markdown_table(board)
        parts += _gain_table(board)
    return "\n".join(parts) + "\n"


def heading(board: Board) -> str:
    """Name and size of a board's task."""
    return f"{board.task} ({rows_text(board)})"


def rows_text(board: Board) -> str:
    """Rows at hand, of how many."""
    return f"{board.rows:,} of {board.rows_total:,} rows" if board.is_partial else f"{board.rows:,} rows"


def notes(board: Board) -> list[str]:
    """What a reader has to know about a board."""
    found = []
    if board.is_partial:
        found.append(
            f"Only {rows_text(board)} were used: scores are on the task's folds restricted to these rows and cannot be "
            "compared with published ones, which are of all rows; where there are any, they follow ours, unranked."
        )
    if board.metric == "rocauc":
        found.append(
            "Matbench's `rocauc` is computed on thresholded labels and equals the balanced accuracy; the true ROC-AUC "
            "of our runs stands beside it."
        )
    incomplete = [title(e) for e in board.entries if e.source == OURS and e.folds < board.folds_total]
    if board.has_tuned:
        found.append(
            "Trials and their seconds are those of all folds' studies together; rows without them were run with "
            "the hyperparameters that are given."
        )
    failed = [f"{title(e)}: {e.failed_trials:,} of {e.trials:,}" for e in board.entries if e.failed_trials]
    if failed:
        found.append(f"Trials that failed: {'; '.join(failed)}. `crystalbench tune` tells why.")
    if any(e.protocol.startswith("tuned on") for e in board.entries):
        found.append(
            "What was tuned on one fold for all has seen, in the search alone, the test rows of the other folds."
        )
    if incomplete:
        found.append(f"Not all folds done, so not ranked: {', '.join(incomplete)}.")
    doubtful = [f"{e.model}: {e.note}" for e in board.entries if e.note]
    if doubtful:
        found.append(f"Published entries to read with care: {'; '.join(doubtful)}.")
    return found


def header(board: Board) -> list[str]:
    """Column titles of a board."""
    titles = [m.label + (f" / {board.unit}" if m.has_unit and board.unit else "") for m in board.metrics]
    tuning = ["trials", "tuning / s"] if board.has_tuned else []
    return ["#", "model", *titles, "view", "folds", *tuning, "fit / s", "parameters", "source"]


def cells(board: Board, entry: Entry, place: int | None) -> list[str]:
    """One entry's cells, in the order of `header`."""
    scores = [score_text(entry, metric) for metric in board.metrics]
    seconds = "" if entry.fit_seconds is None else f"{entry.fit_seconds:.1f}"
    parameters = "" if entry.parameters is None else f"{entry.parameters:,}"
    tuning = ["" if entry.trials is None else f"{entry.trials:,}"]
    tuning += ["" if entry.tuning_seconds is None else f"{entry.tuning_seconds:,.0f}"]
    number = "" if place is None else str(place)
    spent = tuning if board.has_tuned else []
    return [number, title(entry), *scores, entry.view, _folds_text(entry), *spent, seconds, parameters, entry.source]


def _folds_text(entry: Entry) -> str:
    """Number of folds, and how often they were repeated where that is not once: ``5 × 3 seeds``, ``5 × 1–3 seeds``."""
    fewest, most = entry.seeds
    if most == 1:
        return str(entry.folds)
    return f"{entry.folds} × {most if fewest == most else f'{fewest}–{most}'} seeds"


def title(entry: Entry) -> str:
    """An entry's name, with how its hyperparameters were found."""
    return entry.model if entry.protocol == "default" else f"{entry.model} ({entry.protocol})"


def places(board: Board) -> list[int | None]:
    """Rank of each entry among those that can be compared: of the same rows, with all folds and the main metric."""

    def comparable(entry: Entry) -> bool:
        same_rows = not board.is_partial or entry.source == OURS
        return same_rows and entry.folds == board.folds_total and board.metric in entry.scores

    ranks = itertools.count(1)
    return [next(ranks) if comparable(entry) else None for entry in board.entries]


def score_text(entry: Entry, metric: Metric) -> str:
    """Mean ± std, both with the decimals that the mean's size asks for; no std of a single fold.

    Of the mean, four significant digits are shown, three below 0.1, with an exponent below 0.0001. Metrics whose best
    is 1 never have more than four decimals: near 0 they say nothing.
    """
    score = entry.scores.get(metric.name)
    if score is None:
        return ""
    digits = _format(abs(score.mean), best_is_one=metric.higher_is_better)
    mean = f"{score.mean:{digits}}"
    return mean if entry.folds == 1 else f"{mean} ± {score.std:{digits}}"


def _format(size: float, *, best_is_one: bool) -> str:
    if size == 0 or (size < SMALL and best_is_one):
        return ".4f"
    if size < TINY:
        return ".2e"
    digits = 4 if size >= SMALL else 3
    return f".{max(0, digits - 1 - math.floor(math.log10(size)))}f"


def _gain_table(board: Board) -> list[str]:
    """What tuning changed, fold by fold; nothing where no entry has been run with and without."""
    metric = METRICS[board.metric]
    rows = [(entry, entry.gain[metric.name]) for entry in board.entries if metric.name in entry.gain]
    if not rows:
        return []
    unit = f" / {board.unit}" if metric.has_unit and board.unit else ""
    better = "positive" if metric.higher_is_better else "negative"
    folds = sorted({fold for _, gain in rows for fold in gain.folds})
    titles = ["model", "view", "mean ± std over folds", *(f"fold {fold}" for fold in folds)]
    lines = [
        "",
        f"Tuned minus default, {metric.label}{unit}, fold by fold; {better} is better. Where the default was "
        "kept, since tuning found nothing better, the difference is that of another seed.",
        "",
        "| " + " | ".join(titles) + " |",
        "|" + "---|" * len(titles),
    ]
    for entry, gain in rows:
        spread = f" ± {gain.std:.2g}" if len(gain.folds) > 1 else ""
        cells = [title(entry), entry.view, f"{gain.mean:+.4g}{spread}"]
        cells += [_gain_text(entry, gain, fold) for fold in folds]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _gain_text(entry: Entry, gain: Gain, fold: int) -> str:
    if fold not in gain.folds:
        return ""
    return f"{gain.folds[fold]:+.4g}{' (kept)' if fold in entry.kept else ''}"


def _markdown_table(board: Board) -> list[str]:
    titles = header(board)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for entry, place in zip(board.entries, places(board), strict=True):
        row = [cell.replace("|", "\\|") for cell in cells(board, entry, place)]
        if entry.source == OURS:
            row[1] = f"**{row[1]}**"
        lines.append("| " + " | ".join(row) + " |")
    return lines
