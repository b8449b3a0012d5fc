"""Errors that people read: what was wrong, with which input, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CrystalBenchError(Exception):
    """Base of every error that CrystalBench raises on purpose; the command line shows it without a traceback."""


class DataError(CrystalBenchError):
    """A data file, a table or a structure is not what it should be."""


class ConfigError(CrystalBenchError):
    """A suite, a task file, a model's parameters or a command-line option is not what it should be."""


class RecordError(CrystalBenchError):
    """A record of a run cannot be read or written."""


class SavingError(CrystalBenchError):
    """A fitted model cannot be saved, or what was saved cannot be loaded."""


class UnknownNameError(ConfigError, KeyError):
    """A name that nothing is registered under; the message offers the nearest known names, or a note on this one."""

    def __init__(self, what: str, name: str, known: Iterable[str], note: str = "") -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        close = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
        hint = f" {note}" if note else hint
        listing = ", ".join(self.known) if self.known else "none"
        super().__init__(f"Unknown {what} {name!r}.{hint} Known: {listing}.")

    def __str__(self) -> str:
        return str(self.args[0])
