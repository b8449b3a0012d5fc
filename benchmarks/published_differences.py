"""Which differences between the best entries of each task are resolved, published ones and ours together.

``python -m benchmarks.published_differences FOLDER --labels LABELS`` needs a folder of results with published entries
that were imported with their predictions (``crystalbench import PREDICTIONS --results FOLDER``), and optionally our
records; and a folder with tables ``TASK.parquet`` (id, formula). It compares the best entries of each board with each
other by the corrected t-test over folds, and by the bootstrap over test rows, clustered by formula, and writes
``differences.csv`` and ``differences.md`` to ``--out``.

Of ours, entries with the full view and without tuning take part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from crystalbench._files import write_text
from crystalbench.data.views import FULL
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.comparison import Comparison, compare
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.reports.formatting import format_spec, full_title, markdown_table, metric_title
from crystalbench.results import Results, load_results
from crystalbench.targets import METRICS

COLUMNS = (
    "task",
    "a",
    "b",
    "score_a",
    "score_b",
    "difference",
    "low",
    "high",
    "p",
    "resolved",
    "rows_low",
    "rows_high",
    "rows",
    "formulas",
    "folds",
)

INTRODUCTION = """# Differences between the best entries

Made by `python -m benchmarks.published_differences`; nothing here is typed by hand. Differences a − b in the main
metric of each task. Brackets are 95 % intervals: of the corrected paired t-test over the folds, whose p value follows,
and of the bootstrap over test rows, in which all rows of a formula are drawn together. The first says how the
difference might change with other training parts and seeds as well, the second only with other test rows, so two seeds
of one model often differ by the second. A difference that the first resolves is **bold**. No correction is made for the
number of pairs. Entries marked with * are runs of this project."""


def main(
    folder: Annotated[Path, typer.Argument(help="Results with imported entries.")],
    labels: Annotated[Path, typer.Option(help="Folder with tables TASK.parquet (id, formula).")],
    out: Annotated[Path, typer.Option(help="Folder for differences.csv and differences.md.")],
    best: Annotated[int, typer.Option(min=2, help="Number of entries of each task.")] = 5,
) -> None:
    """Compare the best entries of each task with each other."""
    results = load_results(folder)
    boards = [b for b in leaderboards(results.scores) if b.is_official and not b.is_partial]
    frame = pd.concat([_board_frame(board, results, labels, best) for board in boards], ignore_index=True)
    write_text(out / "differences.csv", frame.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    write_text(out / "differences.md", _page(frame, boards))
    typer.echo(f"{len(frame)} differences on {len(boards)} boards: {out}")


def chosen(board: Board, best: int) -> list[Entry]:
    """The best ranked entries whose predictions are known, and the best of ours."""
    usable = [e for e in board.entries if board.is_ranked(e) and e.by_row and not e.is_dummy]
    usable = [e for e in usable if e.source != OURS or (e.view == FULL and e.protocol == "default")]
    first = usable[:best]
    ours = next((e for e in usable if e.source == OURS), None)
    return first if ours is None or ours in first else [*first, ours]


def _board_frame(board: Board, results: Results, labels: Path, best: int) -> pd.DataFrame:
    entries = chosen(board, best)
    predictions = results.select(task=board.task, data=board.data).predictions
    table = pd.read_parquet(labels / f"{board.task.removeprefix('matbench_')}.parquet")
    formulas = dict(zip(table["id"].astype(str), table["formula"].astype(str), strict=True))
    names = [_name(entry) for entry in entries]
    rows = []
    for i, j in itertools.combinations(range(len(entries)), 2):
        a, b = entries[i], entries[j]
        found = compare(predictions, a.configuration, b.configuration, board.task, formulas=formulas)
        scores = (a.scores[board.metric].mean, b.scores[board.metric].mean)
        rows.append((board.task, names[i], names[j], *scores, *_numbers(found)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _numbers(found: Comparison) -> tuple[Any, ...]:
    rows = found.row_interval
    interval = (None,) * 4 if rows is None else (rows.low, rows.high, rows.rows, rows.clusters)
    return found.mean, found.low, found.high, found.p, found.resolved, *interval, len(found.table)


def _name(entry: Entry) -> str:
    return full_title(entry) + "*" * (entry.source == OURS)


def _page(frame: pd.DataFrame, boards: Sequence[Board]) -> str:
    lines = [INTRODUCTION]
    for board in boards:
        mine = frame[frame["task"] == board.task]
        if mine.empty:
            continue
        title = metric_title(METRICS[board.metric], board.unit)
        lines += ["", f"## {board.task}", "", *_table(mine, title)]
    return "\n".join(lines) + "\n"


def _table(frame: pd.DataFrame, title: str) -> Iterator[str]:
    rows = []
    for row in frame.to_dict("records"):
        spec = format_spec(abs(row["score_a"])).removeprefix(".")
        text = f"{row['difference']:+.{spec}} [{row['low']:+.{spec}}, {row['high']:+.{spec}}]"
        by_rows = "" if pd.isna(row["rows_low"]) else f"[{row['rows_low']:+.{spec}}, {row['rows_high']:+.{spec}}]"
        rows.append([row["a"], row["b"], f"**{text}**" if row["resolved"] else text, f"{row['p']:.2g}", by_rows])
    yield from markdown_table(["a", "b", f"{title}, a − b", "p", "over test rows"], rows)


if __name__ == "__main__":
    typer.run(main)
