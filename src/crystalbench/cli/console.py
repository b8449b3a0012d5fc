"""What all commands share: the consoles, and how errors and signals end a command."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from crystalbench.errors import CrystalBenchError

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""

screen = Console(emoji=False)
errors = Console(stderr=True, emoji=False)


def say(text: str, *, style: str = "") -> None:
    """Print a line as it is: no markup, no highlighting, no line breaks of our own."""
    screen.print(escape(text), style=style, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a remark that the user should see."""
    screen.print(f"[yellow]note[/] {escape(text)}", highlight=False, soft_wrap=True)


def complain(what: str, text: str) -> None:
    """Print a line to standard error, e.g. ``error no such file``."""
    errors.print(f"[red]{what}[/] {escape(text)}", highlight=False, soft_wrap=True)


@contextlib.contextmanager
def command(verbose: bool = False) -> Iterator[None]:
    """Run a command: errors of CrystalBench end it in one line, others with their traceback.

    Args:
        verbose: whether to log what happens, and to show tracebacks of all errors.
    """
    _replace_unprintable_characters()
    handler = RichHandler(console=errors, show_path=verbose, show_time=verbose)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("crystalbench").setLevel(logging.DEBUG if verbose else logging.WARNING)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    # Batch systems send SIGTERM at the end of the time limit: it stops workers, too, and leaves nothing half done.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except CrystalBenchError as error:
        complain("error", str(error))
        raise typer.Exit(1) from (error if verbose else None)
    except KeyboardInterrupt:
        errors.print("stopped", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        _drop_output()
        raise typer.Exit(1) from None
    except OSError as error:
        if (reason := _OF_THE_MACHINE.get(error.errno or 0)) is None:
            raise
        complain("error", f"{reason} ({error}), then repeat the command")
        _drop_output()
        raise typer.Exit(1) from (error if verbose else None)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        complain(
            "error", f"the name {error.object!r} is not in the encoding of this locale; set PYTHONUTF8=1, or rename it"
        )
        raise typer.Exit(1) from (error if verbose else None)
    finally:
        signal.signal(signal.SIGTERM, before)


_OF_THE_MACHINE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the quota of this user is used up; free some space",
    errno.EROFS: "the file system is read-only; give another folder",
    errno.EACCES: "a file or folder may not be accessed; change its mode, or give another one",
    errno.EPERM: "a file or folder may not be accessed; change its mode, or give another one",
    errno.EIO: "the disk or network failed; check it",
    errno.ESTALE: "the network file system has lost a file; mount it again",
}
"""What is wrong with the machine, not with this program, and what to do."""

_broken_streams: list[object] = []


def _drop_output() -> None:
    """Write the rest of the output nowhere. The old stream is kept, since closing it would fail again."""
    _broken_streams.append(sys.stdout)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123


def _replace_unprintable_characters() -> None:
    """Print a question mark where the encoding of the terminal lacks a character, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
