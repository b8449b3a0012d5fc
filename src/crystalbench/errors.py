"""The exceptions of CrystalBench. A message says what is wrong, with which input, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CrystalBenchError(Exception):
    """Base class of all exceptions of CrystalBench; the command line shows them without a traceback."""


class DataError(CrystalBenchError):
    """A data file, a table or a structure is missing or invalid."""


class ConfigError(CrystalBenchError):
    """A suite, a task file, a hyperparameter or a command-line option is invalid."""


class RecordError(CrystalBenchError):
    """A record of a run cannot be read or written."""


class SavingError(CrystalBenchError):
    """A fitted model cannot be saved, or a saved model cannot be loaded."""


class UnknownNameError(ConfigError, KeyError):
    """No object is registered under a name; the message suggests the closest known names.

    Args:
        what: what the name stands for, e.g. ``task``.
        name: the unknown name.
        known: all known names.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], note: str = "") -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        close = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
        hint = f" {note}" if note else hint
        listing = ", ".join(self.known) if self.known else "none"
        super().__init__(f"Unknown {what} {name!r}.{hint} Known: {listing}.")

    def __str__(self) -> str:
        return str(self.args[0])
