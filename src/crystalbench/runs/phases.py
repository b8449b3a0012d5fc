"""The progress of one run as text: phase, what is counted, validation error, and the time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from crystalbench.models.model import Phase, Progress
from crystalbench.targets import Kind, Target

log = logging.getLogger(__name__)

SILENT_SECONDS = 30.0
"""A phase that has not reported for this long is described with the time since it began."""

_ONE_OF = {"epochs": "epoch", "steps": "step"}
"""Units that are counted as ``epoch 3 of 10``; of others, amounts are given, as ``3 of 10 trees``."""

_PLACES = {"trial", "trials", "member", "members"}
"""Numbers that say where a run is; the others are measured."""


class RunProgress(Progress):
    """Knows how far a run is, and describes it.

    Args:
        title: title of the run.
        target: what the run predicts.
        clock: current time in seconds.
    """

    def __init__(self, title: str, target: Target, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self._target, self._clock = title, target, clock
        self.phase: Phase | None = None
        self.done, self.total, self.unit = 0, 0, ""
        self.phase_began = self._counted_from = clock()
        self._first: int | None = None  # steps done when counting began
        self._numbers: dict[str, float] = {}

    def __call__(
        self, done: int, total: int, *, phase: Phase = Phase.FITTING, unit: str = "steps", **numbers: float
    ) -> None:
        """Take note of a report."""
        now = self._clock()
        if begins := phase is not self.phase:
            self.phase, self.phase_began, self._first = phase, now, None
        self.done, self.total, self.unit, self._numbers = done, total, unit, numbers
        if total and self._first is None:  # a fit that is resumed begins with many steps done
            self._first, self._counted_from = (0, self.phase_began) if done <= 1 else (done, now)
        if begins:
            log.info("%s: %s", self.title, self.text())

    def text(self) -> str:
        """The phase with all that is known about it, e.g. ``fitting, epoch 40 of 200, 1 min 20 s left``."""
        if self.phase is None:
            return "waiting"
        parts = [str(self.phase), *self._place(), *self.measured(), self._time()]
        return ", ".join(part for part in parts if part)

    def measured(self) -> list[str]:
        """Validation error and other numbers."""
        numbers = {name: value for name, value in self._numbers.items() if name not in _PLACES}
        if self.phase is Phase.TUNING:
            best = numbers.pop("best", None)
            first = [] if best is None else [f"best trial {best:.4g}"]
        elif "valid" in numbers:
            first = [f"validation {self._error(numbers['valid'])}"]
            for name in ("valid", "best", "loss"):
                numbers.pop(name, None)
        else:
            first = []
        if "loss" in numbers:
            numbers = {"training loss": numbers.pop("loss"), **numbers}
        return first + [f"{name} {value:.4g}" for name, value in numbers.items()]

    @property
    def seconds_left(self) -> float | None:
        """Time until all steps of the phase are done at the present speed; None if that is not known."""
        elapsed = self._clock() - self._counted_from
        if self._first is None or not self._first < self.done < self.total or elapsed < 1:
            return None
        return elapsed * (self.total - self.done) / (self.done - self._first)

    def _place(self) -> list[str]:
        numbers, done, total = self._numbers, self.done, self.total
        places = []
        if members := int(numbers.get("members", 0)):
            member = int(numbers["member"])
            places.append(f"member {member + 1} of {members}")
            done, total = done - member * total // members, total // members
        if "trial" in numbers:
            budget = f" of {numbers['trials']:.0f}" if "trials" in numbers else ""
            places.append(f"trial {numbers['trial'] + 1:.0f}{budget}")
            if budget:
                return places
        if total:
            one = _ONE_OF.get(self.unit)
            places.append(f"{one} {done:,} of {total:,}" if one else f"{done:,} of {total:,} {self.unit}")
        return places

    def _error(self, value: float) -> str:
        if self._target.kind is not Kind.REGRESSION:
            return f"loss {value:.4g}"
        return f"MAE {value:.4g} {self._target.unit}".rstrip()

    def _time(self) -> str:
        if (left := self.seconds_left) is not None:
            return f"{duration(left)} left"
        elapsed = self._clock() - self.phase_began
        return f"for {duration(elapsed)}" if elapsed >= SILENT_SECONDS else ""


def duration(seconds: float) -> str:
    """A time for people: ``45 s``, ``1 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
