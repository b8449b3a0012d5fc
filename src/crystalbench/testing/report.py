"""Reports of contract checks: which checks passed, which failed, why and where."""

from __future__ import annotations

import contextlib
import html
import inspect
import sysconfig
import textwrap
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Generic, TypeVar

from crystalbench.errors import CrystalBenchError

Case = TypeVar("Case")
Made = TypeVar("Made")
Check = Callable[[Case], None]
"""A check of a case. The first line of its docstring is its title; it raises `CheckFailure` where the case fails."""

_WIDTH = 100  # columns of a printed report
_TESTING = str(Path(__file__).parent)
_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_NOT_THE_USERS = (_PACKAGE, *_LIBRARIES, "<frozen", "<string>", "<__")


class CheckFailure(Exception):  # noqa: N818  (a finding, caught by `Checks`)
    """A check fails; the message says why."""


class SkipCheck(Exception):  # noqa: N818  (a finding, caught by `Checks`)
    """A check cannot run because it needs a result of another check, which failed and is reported already."""


@dataclass(frozen=True)
class Failure:
    """A failed check.

    Attributes:
        check: title of the check.
        reason: why it failed, in one line.
        place: ``file:line`` of the user's code in which an exception was raised; empty if none was.
        traceback: the traceback of that exception; empty if none was raised.
    """

    check: str
    reason: str
    place: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        """One line."""
        return f"{self.check}: {self.reason}" + (f" ({self.place})" if self.place else "")


class ContractError(CrystalBenchError, AssertionError):
    """Checks failed. The message lists them, one line each.

    It is an `AssertionError`, so test runners count a failed test rather than an error.

    Attributes:
        name: what was checked.
        failures: the failed checks.
        passed: titles of the checks that passed.
        skipped: titles of the checks that could not run because a check that they build on failed.
        verbose: whether the message contains tracebacks.
    """

    def __init__(
        self,
        name: str,
        failures: Iterable[Failure],
        passed: Iterable[str] = (),
        skipped: Iterable[str] = (),
        verbose: bool = False,
    ) -> None:
        self.name = name
        self.verbose = verbose
        self.failures = tuple(failures)
        self.passed = tuple(passed)
        self.skipped = tuple(skipped)
        total = len(self.failures) + len(self.passed) + len(self.skipped)
        lines = [
            f"{name} fails {len(self.failures)} of {total} checks:",
            *(f"  {failure}" for failure in self.failures),
        ]
        if self.skipped:
            lines.append(f"  ({len(self.skipped)} not run because they build on these)")
        if verbose:
            lines += [f"\n{check}:\n{text.rstrip()}" for check, text in self.tracebacks.items()]
        elif self.tracebacks:
            lines.append("Tracebacks: repeat with verbose=True, or see the attribute `tracebacks` of this error.")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[ContractError], tuple[object, ...]]:
        """Pickle what was found, so that the error can leave a worker process."""
        return type(self), (self.name, self.failures, self.passed, self.skipped, self.verbose)

    @property
    def failed(self) -> dict[str, str]:
        """Reasons of the failed checks, by title."""
        return {failure.check: failure.reason for failure in self.failures}

    @property
    def tracebacks(self) -> dict[str, str]:
        """Tracebacks of the exceptions raised during checks, by title of the check."""
        return {failure.check: failure.traceback for failure in self.failures if failure.traceback}


@dataclass(frozen=True)
class Report:
    """The result of checks that all passed.

    Attributes:
        name: what was checked.
        groups: titles of the checks by group.
        drifts: for each `Invariance` that a model does not declare, the largest change of a prediction in standard
            deviations of the predictions over the crystals of the check; empty if the subject is not a model.
        notes: remarks, for example that a model cannot be saved.
    """

    name: str
    groups: Mapping[str, tuple[str, ...]]
    drifts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> tuple[str, ...]:
        """Titles of the checks, all of which passed."""
        return tuple(title for titles in self.groups.values() for title in titles)

    def __str__(self) -> str:
        """A few lines to read."""
        lines = [f"{self.name} passes {len(self.passed)} checks"]
        for label, text in self._parts():
            lines += textwrap.wrap(f"{label}: {text}", _WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        items = (f"<li><b>{html.escape(label)}</b>: {html.escape(text)}</li>" for label, text in self._parts())
        return f"<b>{html.escape(self.name)}</b> passes {len(self.passed)} checks<ul>{''.join(items)}</ul>"

    def _parts(self) -> list[tuple[str, str]]:
        parts = [(group, "; ".join(titles)) for group, titles in self.groups.items() if titles]
        if self.drifts:
            drifts = ", ".join(f"{name} {drift:.2g}" for name, drift in self.drifts.items())
            parts.append(("not declared, largest change of a prediction in standard deviations", drifts))
        return parts + [("note", note) for note in self.notes]


class Checks(Generic[Case]):
    """Runs checks on a case and collects the results; a failed check does not stop the others.

    Args:
        name: what is checked, for messages.
        case: the argument of every check.
        subject: the class or function that is checked; places of errors in its file are the user's.
        verbose: whether error messages contain tracebacks.
    """

    def __init__(self, name: str, case: Case, subject: object = None, *, verbose: bool = False) -> None:
        self.name = name
        self.case = case
        self.failures: list[Failure] = []
        self._verbose = verbose
        self._file = _file_of(subject)
        self._groups: dict[str, tuple[str, ...]] = {}
        self._skipped: list[str] = []

    def run(self, group: str, checks: Iterable[Check[Case]]) -> None:
        """Run checks of a group."""
        for check in checks:
            title = title_of(check)
            try:
                check(self.case)
            except SkipCheck:
                self._skipped.append(title)
            except CheckFailure as error:
                cause = error.__cause__
                place, text = ("", "") if cause is None else (_place_of(cause, self._file), _traceback_of(cause))
                self.failures.append(Failure(title, _one_line(str(error)), place, text))
            except Exception as error:
                reason = _one_line(f"{type(error).__name__}: {error}")
                self.failures.append(Failure(title, reason, _place_of(error, self._file), _traceback_of(error)))
            else:
                self._groups[group] = (*self._groups.get(group, ()), title)

    def report(self, drifts: Mapping[str, float] | None = None, notes: Iterable[str] = ()) -> Report:
        """The report.

        Raises:
            ContractError: a check failed.
        """
        __tracebackhide__ = True  # pytest shows the message, not this frame
        report = Report(self.name, self._groups, drifts or {}, tuple(notes))
        if self.failures:
            raise ContractError(self.name, self.failures, report.passed, self._skipped, self._verbose)
        return report


def title_of(check: Callable[..., object]) -> str:
    """The title of a check: the first line of its docstring."""
    words = (inspect.getdoc(check) or check.__name__).splitlines()[0].rstrip(".")
    return words[0].lower() + words[1:]


class Memo:
    """Results that several checks share, computed once.

    A computation that fails raises its error once, in the check that needs it first; the others are skipped.
    """

    def __init__(self) -> None:
        self._made: dict[object, Any] = {}
        self._failed: set[object] = set()

    def get(self, name: object, make: Callable[[], Made]) -> Made:
        """The result of ``make``, computed at the first call.

        Raises:
            SkipCheck: it has failed before.
        """
        if name in self._failed:
            raise SkipCheck
        if name not in self._made:
            try:
                self._made[name] = make()
            except Exception:
                self._failed.add(name)
                raise
        made: Made = self._made[name]
        return made


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _file_of(subject: object) -> str | None:
    try:
        return inspect.getsourcefile(subject)  # type: ignore[arg-type]
    except (TypeError, OSError):
        return None


def _place_of(error: BaseException, own: str | None) -> str:
    """``file:line`` of the deepest frame in the user's code, empty if it was not reached.

    If a class or function of CrystalBench is checked, its code counts as the user's.
    """
    frames = traceback.extract_tb(error.__traceback__)
    chosen = [f for f in frames if f.filename == own or not f.filename.startswith(_NOT_THE_USERS)]
    if not chosen and own is not None and own.startswith(_PACKAGE):
        chosen = [f for f in frames if f.filename.startswith(_PACKAGE) and not f.filename.startswith(_TESTING)]
    if not chosen:
        return ""
    path = chosen[-1].filename
    with contextlib.suppress(ValueError):
        path = str(Path(path).relative_to(Path.cwd()))
    return f"{path}:{chosen[-1].lineno}"


def _traceback_of(error: BaseException) -> str:
    """The traceback of an error without the frames of the checks."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_check(trace.tb_frame):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_check(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_TESTING)
