"""``crystalbench report``: leaderboards from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalbench.cli import options
from crystalbench.cli.console import command, complain, say, screen
from crystalbench.errors import ConfigError

SHOWN_PROBLEMS = 5


def report(
    results: options.Results = Path("results"),
    readme: Annotated[
        Path | None, typer.Option(help="Markdown file to fill with a summary, between its results markers.")
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Compute the leaderboards from the records and show them."""
    with command(verbose):
        show_leaderboards(results, None, readme)


def show_leaderboards(results: Path, tasks: set[str] | None, readme: Path | None = None) -> None:
    """Write the leaderboards of all records and show those of some tasks.

    Args:
        results: folder of records.
        tasks: names of the tasks to show; all by default.
        readme: Markdown file to fill with a summary.

    Raises:
        ConfigError: there are no records.
        typer.Exit: a record cannot be read; the others count.
    """
    from crystalbench.evaluation.leaderboard import leaderboards
    from crystalbench.evaluation.learning_curves import learning_curves
    from crystalbench.reports.common_folds import explanation
    from crystalbench.reports.files import write_leaderboards
    from crystalbench.reports.learning_curves import write_learning_curves
    from crystalbench.reports.notes import notes
    from crystalbench.reports.screen import screen_differences, screen_table
    from crystalbench.reports.summary import fill_readme
    from crystalbench.results.loading import read_results
    from crystalbench.results.store import RecordStore

    found = read_results(RecordStore(results / "records"))
    problems = found.problems
    if not len(found) and not problems and tasks is None:
        raise ConfigError(options.nothing_found(results, "records", "run a suite first (crystalbench run)"))
    boards = leaderboards(found.scores, found.predictions_on_other_folds)
    for board in boards:
        if tasks is None or board.task in tasks:
            screen.print()
            screen.print(screen_table(board, screen.width))
            for line in notes(board):
                say(line, style="dim")
            if (differences := screen_differences(board)) is not None:
                say(explanation(board), style="dim")
                screen.print(differences)
    for problem in problems[:SHOWN_PROBLEMS]:
        complain("not counted", str(problem))
    if len(problems) > SHOWN_PROBLEMS:
        complain("not counted", f"{len(problems) - SHOWN_PROBLEMS} more files that are not complete records")
    if len(found):
        paths = write_leaderboards(boards, results)
        curves = learning_curves(found.scores, found.predictions_on_other_folds)
        if len(curves):
            paths += write_learning_curves(curves, results)
        if readme is not None:
            fill_readme(readme, boards)
            paths.append(readme)
        say(f"\nwritten: {', '.join(map(str, paths))}")
    if problems:
        raise typer.Exit(1)
