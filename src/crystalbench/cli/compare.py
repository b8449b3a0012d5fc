"""``crystalbench compare``: whether two entries differ on a task."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from crystalbench.cli import options
from crystalbench.cli.console import command, complain, note, say, screen
from crystalbench.errors import ConfigError, CrystalBenchError, UnknownNameError

if TYPE_CHECKING:
    from crystalbench.evaluation.board import Board, Entry
    from crystalbench.evaluation.comparison import Comparison
    from crystalbench.results import Results
    from crystalbench.tasks import DataSources

log = logging.getLogger(__name__)

_ONE_BY_ONE = "the bootstrap draws rows one by one, not by composition"

_CONFIGURATION = 8
"""Fewest characters of a configuration that name an entry."""


@dataclass(frozen=True)
class _Named:
    """An entry with its board and its unique name there."""

    board: Board
    entry: Entry
    name: str


def compare(
    a: Annotated[str, typer.Argument(help="An entry, named as on the leaderboard: cgcnn, 'cgcnn (tuned)'.")],
    b: Annotated[str, typer.Argument(help="The entry to compare it with; it may be a published one.")],
    task: Annotated[str, typer.Option(help="Name of the task, or a task file.")],
    results: options.Results = Path("results"),
    metric: Annotated[str | None, typer.Option(help="A metric other than the main one of the task.")] = None,
    data_dir: options.DataDir = None,
    data: options.Data = None,
    verbose: options.Verbose = False,
) -> None:
    """Test whether two entries differ on a task, fold by fold on the same test rows.

    If the data of the task are there, the bootstrap over test rows draws rows of one composition together.
    """
    with command(verbose):
        from crystalbench.results.loading import read_results
        from crystalbench.results.store import RecordStore

        found = read_results(RecordStore(results / "records"))
        if not len(found) and not found.problems:
            raise ConfigError(options.nothing_found(results, "records", "run a suite first (crystalbench run)"))
        for problem in found.problems:
            complain("not counted", str(problem))
        one, other = _entries(found, task, a, b)
        if one.entry.configuration and other.entry.configuration:
            sources = options.data_sources(data_dir, data, None, offline=True, tasks=[task])
            compared = _by_predictions(found, one, other, metric, task, sources)
        else:
            compared = _by_scores(one, other, metric)
        _show(compared, one.board.folds_total)


def _entries(found: Results, task: str, a: str, b: str) -> tuple[_Named, _Named]:
    """Find two entries, on the same board if there is one that has both.

    Raises:
        UnknownNameError: there are no records of the task, or there is no such entry.
        ConfigError: both names are of the same entry.
    """
    from crystalbench.evaluation.leaderboard import leaderboards
    from crystalbench.tasks import get_task_spec

    name = get_task_spec(task).name if task.endswith(".toml") else task
    boards = leaderboards(found.scores)
    mine = [board for board in boards if board.task == name]
    if not mine:
        raise UnknownNameError(f"task of the records in {found.name}", name, {board.task for board in boards})
    candidates = [_matches(mine, text) for text in (a, b)]
    same_board = [(one, other) for one in candidates[0] for other in candidates[1] if one.board is other.board]
    one, other = same_board[0] if same_board else (candidates[0][0], candidates[1][0])
    if one.entry is other.entry:
        raise ConfigError(f"{a!r} and {b!r} are the same entry of {name}; name two different ones")
    return one, other


def _matches(boards: Sequence[Board], text: str) -> list[_Named]:
    """Entries with a name, or with a configuration that begins so.

    Raises:
        UnknownNameError: there is none.
    """
    everyone = [named for board in boards for named in _named(board)]
    found = [named for named in everyone if text in _names(named)]
    if not found and len(text) >= _CONFIGURATION:
        found = [named for named in everyone if named.entry.configuration.startswith(text)]
    if not found:
        names = {named.name for named in everyone}
        longer = sorted(name for name in names if name.startswith(f"{text} ("))
        hint = f"Did you mean {' or '.join(map(repr, longer))}?" if longer else ""
        raise UnknownNameError(f"entry of {boards[0].task}", text, names, hint)
    return found


def _named(board: Board) -> Iterator[_Named]:
    from crystalbench.evaluation.entries import title_of

    for entry in board.entries:
        yield _Named(board, entry, title_of(entry.model, entry.protocol, entry.view))


def _names(named: _Named) -> tuple[str, str]:
    """Both ways in which an entry is written: ``cgcnn (tuned, anonymous)`` and ``cgcnn (tuned) (anonymous)``."""
    from crystalbench.reports.formatting import full_title

    return named.name, full_title(named.entry)


def _by_predictions(
    found: Results, one: _Named, other: _Named, metric: str | None, task: str, sources: DataSources
) -> Comparison:
    """Compare two of our entries, whose names on the board tell configurations of one label apart."""
    from crystalbench.evaluation import comparison
    from crystalbench.evaluation.bootstrap import has_losses

    a, b, name = one.entry.configuration, other.entry.configuration, one.board.task
    predictions = found.select(task=name, configuration=[a, b]).predictions
    formulas = None
    if has_losses(metric or one.board.metric):
        formulas = _formulas(task, sources, set(predictions["id"]))
    compared = comparison.compare(predictions, a, b, name, metric, formulas=formulas)
    return replace(compared, a=one.name, b=other.name)


def _by_scores(one: _Named, other: _Named, metric: str | None) -> Comparison:
    """Compare entries of which one is published, so that only its scores of the folds are known."""
    from crystalbench.errors import DataError
    from crystalbench.evaluation.comparison import compare_on_board

    if one.board is not other.board:
        raise DataError(
            f"{one.name} and {other.name} on {one.board.task}: they are of different rows or data, and without "
            "predictions of the published one the common rows cannot be scored"
        )
    return compare_on_board(one.board, one.entry, other.entry, metric)


def _formulas(task: str, sources: DataSources, ids: set[str]) -> dict[str, str] | None:
    """Formulas by id; None if the data of the task are not there, or are of other rows."""
    from crystalbench.tasks import get_task_spec

    try:
        frame = get_task_spec(task).load(sources).to_frame()
    except CrystalBenchError as error:
        log.info("%s", error)
        note(f"{_ONE_BY_ONE}, since the data of {task} are not there; name them with --data-dir or --data")
        return None
    formulas = dict(zip(frame["id"].astype(str), frame["formula"], strict=True))
    if missing := ids - formulas.keys():
        note(
            f"{_ONE_BY_ONE}, since the data lack {len(missing):,} of {len(ids):,} rows, e.g. {min(missing)}; name the "
            "file that the runs used with --data"
        )
        return None
    return formulas


def _show(compared: Comparison, folds_total: int) -> None:
    from crystalbench.reports.comparison import coverage, fold_table, sentence, tests_table

    say(sentence(compared), style="bold")
    say(coverage(compared, folds_total), style="dim")
    _print(*fold_table(compared), "right")
    _print(*tests_table(compared), "left")


def _print(titles: Sequence[str], rows: Sequence[Sequence[str]], justify: Literal["left", "right"]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(escape(title), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    screen.print(table)
