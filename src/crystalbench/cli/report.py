"""``crystalbench report``: leaderboards from records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalbench.cli import options
from crystalbench.cli.console import command, complain, say, screen
from crystalbench.errors import ConfigError

if TYPE_CHECKING:
    from crystalbench.errors import RecordError
    from crystalbench.evaluation.board import Board
    from crystalbench.results import Results
    from crystalbench.tasks import DataSources

SHOWN_PROBLEMS = 5
SITE = "site"
"""Folder of the pages below the results."""


def report(
    results: options.Results = Path("results"),
    readme: Annotated[
        Path | None, typer.Option(help="Markdown file to fill with a summary, between its results markers.")
    ] = None,
    slices: Annotated[
        bool,
        typer.Option(
            "--slices",
            help="Also write slices, conformal intervals and composition ceilings. They need the tasks' data.",
        ),
    ] = False,
    site: Annotated[
        bool,
        typer.Option(
            "--site", help="Also write pages for a browser to the folder site. Data that is found adds formulas."
        ),
    ] = False,
    probe: Annotated[
        list[str] | None,
        typer.Option(help="Also show the tables of this probe of yours on the site: file.py:Class (repeatable)."),
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(help="Folder for LaTeX tables: each board, its resolved differences.", metavar="FOLDER"),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for figures of each board as PDF and SVG.", metavar="FOLDER")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only slices of this task (repeatable); also a task file .toml.")
    ] = None,
    data_dir: options.DataDir = None,
    data: options.Data = None,
    limit: options.Limit = None,
    verbose: options.Verbose = False,
) -> None:
    """Compute the leaderboards from the records and show them."""
    with command(verbose):
        if not slices and task:
            raise ConfigError("--task is for slices; add --slices")
        if not (slices or site) and (data_dir or data or limit):
            raise ConfigError("--data-dir, --data and --limit are for slices and the site; add --slices or --site")
        if probe and not site:
            raise ConfigError("--probe is for the site; add --site")
        tasks = task or ()
        wanted = slices or site
        sources = options.data_sources(data_dir, data, limit, offline=True, tasks=tasks) if wanted else None
        found = show_leaderboards(results, None, readme)
        if latex is not None:
            from crystalbench.reports.latex import write_latex

            *tables, document = write_latex(found.boards, latex)
            say(f"written: {len(tables)} LaTeX tables in {latex}, and {document} with all of them")
        if figures is not None:
            from crystalbench.reports.figures import write_figures

            paths = write_figures(found.boards, found.results, figures)
            say(f"written: {len(paths)} figures in {figures}, each as .pdf and .svg")
        if slices and sources is not None:
            _write_by_rows(found.results, results, sources, tasks)
        if site and sources is not None:
            _write_site(found.results, results, sources, probe or ())
        if found.problems:
            raise typer.Exit(1)


def _write_site(found: Results, results: Path, sources: DataSources, probes: Sequence[str]) -> None:
    from crystalbench.probes import probe_names, written_sections
    from crystalbench.reports.site import facts_of, read_content, write_site

    facts, problems = facts_of(found, sources)
    for problem in problems:
        complain("no formulas", problem)
    probed = written_sections(results, [*probe_names(), *probes])
    pages = write_site(read_content(found, results, facts, probed), results / SITE)
    say(f"written: {pages[0]} and {len(pages) - 1} more pages")


def _write_by_rows(everything: Results, results: Path, sources: DataSources, tasks: Sequence[str]) -> None:
    from crystalbench.reports.by_rows import by_rows
    from crystalbench.reports.files import write_by_rows

    found = by_rows(everything, sources, tasks)
    for problem in found.problems:
        complain("no slices", problem)
    if found.slices.empty:
        raise ConfigError("there are no slices, for the reasons above")
    say(f"written: {', '.join(map(str, write_by_rows(found, results)))}")


@dataclass(frozen=True)
class Shown:
    """What was read and shown: the results and their boards."""

    results: Results
    boards: list[Board]

    @property
    def problems(self) -> list[RecordError]:
        """The files that could not be read."""
        return self.results.problems


def show_leaderboards(results: Path, data: set[str] | None, readme: Path | None = None) -> Shown:
    """Write the leaderboards of all records and show some of them.

    Args:
        results: folder of records.
        data: digests of the data, with its folds, whose leaderboards are shown; all by default.
        readme: Markdown file to fill with a summary.

    Returns:
        The results, with the records that cannot be read as `problems`; the others count.

    Raises:
        ConfigError: there are no records.
    """
    from crystalbench.evaluation.leaderboard import leaderboards
    from crystalbench.results.entry import ENTRIES, EntryStore
    from crystalbench.results.loading import RECORDS, read_results
    from crystalbench.results.store import RecordStore

    found = read_results(RecordStore(results / RECORDS), EntryStore(results / ENTRIES))
    if not len(found) and not found.problems and data is None:
        raise ConfigError(options.nothing_found(results, "records", "run a suite first (crystalbench run)"))
    boards = leaderboards(found.scores, found.predictions_on_other_folds)
    for board in boards:
        if data is None or board.data in data:
            _show_board(board)
    if data is None:
        _show_across(boards)
    for problem in found.problems[:SHOWN_PROBLEMS]:
        complain("not counted", str(problem))
    if (more := len(found.problems) - SHOWN_PROBLEMS) > 0:
        complain("not counted", f"{more} more files that are not complete records")
    if len(found):
        say(f"\nwritten: {', '.join(map(str, _write(found, boards, results, readme)))}")
    return Shown(found, boards)


def _show_board(board: Board) -> None:
    """A leaderboard with its notes, the best of each kind, and the differences between entries."""
    from crystalbench.reports.common_folds import explanation
    from crystalbench.reports.kinds import EXPLANATION
    from crystalbench.reports.notes import notes
    from crystalbench.reports.screen import screen_differences, screen_kinds, screen_table

    screen.print()
    screen.print(screen_table(board, screen.width))
    for line in notes(board):
        say(line, style="dim")
    if (kinds := screen_kinds(board)) is not None:
        say(EXPLANATION, style="dim")
        screen.print(kinds)
    if (differences := screen_differences(board)) is not None:
        say(explanation(board), style="dim")
        screen.print(differences)


def _show_across(boards: Sequence[Board]) -> None:
    """Average ranks over tasks, where there are several."""
    from crystalbench.evaluation.across import groups_across
    from crystalbench.reports.across import EXPLANATION, HEADING, left_out_text, ranks_text
    from crystalbench.reports.screen import screen_across

    groups, left_out = groups_across(boards)
    if groups:
        say(f"\n{HEADING}", style="italic")
        say(" ".join(text for text in (EXPLANATION, left_out_text(left_out)) if text), style="dim")
    for group in groups:
        screen.print(screen_across(group))
        say(ranks_text(group), style="dim")


def _write(found: Results, boards: Sequence[Board], results: Path, readme: Path | None) -> list[Path]:
    """Write the leaderboards, the calibration and the learning curves, and fill the README; returns the files."""
    from crystalbench.evaluation.calibration import calibration
    from crystalbench.evaluation.learning_curves import learning_curves
    from crystalbench.reports.calibration import write_calibration
    from crystalbench.reports.files import write_leaderboards
    from crystalbench.reports.formatting import names_of
    from crystalbench.reports.learning_curves import write_learning_curves
    from crystalbench.reports.summary import fill_readme

    paths = write_leaderboards(boards, results)
    paths += write_calibration(calibration(found.predictions_with_std, names_of(boards)), results)
    curves = learning_curves(found.scores, found.predictions_on_other_folds)
    if len(curves):
        paths += write_learning_curves(curves, results)
    if readme is not None:
        fill_readme(readme, boards)
        paths.append(readme)
    return paths
