"""What a check found: promises kept and broken."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from crystalbench.errors import CrystalBenchError

Case = TypeVar("Case")
Made = TypeVar("Made")


class ContractError(CrystalBenchError, AssertionError):
    """Promises are broken; the message names each of them in words.

    An `AssertionError`, so that every test runner counts it as a failed test and not as an accident, and one of
    CrystalBench's own errors, which need no traceback to be understood.

    Attributes:
        broken: what is wrong, by promise.
    """

    def __init__(self, name: str, broken: dict[str, str]) -> None:
        self.broken = broken
        super().__init__("\n".join(f"{name} broke: {promise} - {what}" for promise, what in broken.items()))


class Broken(Exception):  # noqa: N818  (a finding)
    """A promise is broken; the message says how."""


class Unchecked(Exception):  # noqa: N818  (a finding)
    """A promise cannot be checked, since what it builds on is broken and reported already."""


@dataclass(frozen=True)
class Report:
    """What a model or representation keeps.

    Attributes:
        name: what was checked.
        kept: the promises, all of them kept.
        drifts: for each invariance that a model does not promise, the largest change of a prediction, in standard
            deviations of the predictions over the crystals of the check.
        notes: what else is worth knowing.
    """

    name: str
    kept: tuple[str, ...]
    drifts: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A few lines to read."""
        lines = [f"{self.name} keeps {len(self.kept)} promises:", *(f"  {promise}" for promise in self.kept)]
        if self.drifts:
            lines.append("not promised, predictions change by (in standard deviations):")
            lines += [f"  {name}: {drift:.2g}" for name, drift in self.drifts.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


class Findings:
    """Promises checked one after another; one that is broken does not stop the others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kept: list[str] = []
        self.broken: dict[str, str] = {}
        self._errors: list[Exception] = []

    def check(self, promise: Callable[[Case], None], case: Case) -> None:
        """Check a promise: a function whose docstring says in its first line what is promised."""
        words = promise_of(promise)
        try:
            promise(case)
        except Unchecked:
            return
        except Broken as error:
            self.broken[words] = str(error)
        except Exception as error:
            self.broken[words] = f"{type(error).__name__}: {error}"
            self._errors.append(error)
        else:
            self.kept.append(words)

    def report(self, drifts: dict[str, float] | None = None, notes: tuple[str, ...] = ()) -> Report:
        """The report.

        Raises:
            ContractError: a promise is broken.
        """
        if self.broken:
            cause = ExceptionGroup("raised while promises were checked", self._errors) if self._errors else None
            raise ContractError(self.name, self.broken) from cause
        return Report(self.name, tuple(self.kept), drifts or {}, notes)


def promise_of(function: Callable[..., object]) -> str:
    """The promise that a function checks: the first line of its docstring."""
    words = (inspect.getdoc(function) or function.__name__).splitlines()[0].rstrip(".")
    return words[0].lower() + words[1:]


class Attempts:
    """Results by name, made when first asked for; what failed fails once, and is `Unchecked` from then on."""

    def __init__(self) -> None:
        self._made: dict[object, Any] = {}
        self._failed: set[object] = set()

    def get(self, name: object, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, made once."""
        if name in self._failed:
            raise Unchecked
        if name not in self._made:
            try:
                self._made[name] = make()
            except Exception:
                self._failed.add(name)
                raise
        made: Made = self._made[name]
        return made


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings about the crystals of a check, many of which are strange on purpose."""
    logger = logging.getLogger("crystalbench")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
