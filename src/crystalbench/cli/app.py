"""The program ``crystalbench``: one command per file of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from crystalbench import __version__
from crystalbench.cli.compare import compare
from crystalbench.cli.console import screen
from crystalbench.cli.exchange import export, import_
from crystalbench.cli.fit import fit
from crystalbench.cli.listing import list_all
from crystalbench.cli.predict import predict
from crystalbench.cli.probe import probe
from crystalbench.cli.report import report
from crystalbench.cli.run import run
from crystalbench.cli.studies import studies

OPTIONS = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": "markdown"}
"""Of every program. With Markdown, square brackets as in ``[default: demo]`` are plain text."""

app = typer.Typer(
    name="crystalbench",
    help="A fair comparison of representations of crystals over the official Matbench folds.",
    no_args_is_help=True,
    **OPTIONS,  # type: ignore[arg-type]
)

app.command("run")(run)
app.command("report")(report)
app.command("compare")(compare)
app.command("probe")(probe)
app.command("studies")(studies)
app.command("list")(list_all)
app.command("fit")(fit)
app.command("predict")(predict)
app.command("import")(import_)
app.command("export")(export)


def _print_version(wanted: bool) -> None:
    if wanted:
        screen.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def standalone(command: Callable[..., None]) -> None:
    """Run one command as a program, e.g. ``python -m benchmarks.run``."""
    program = typer.Typer(**OPTIONS)  # type: ignore[arg-type]
    program.command()(command)
    program()
