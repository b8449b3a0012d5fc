"""Progress of runs: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from crystalbench.models.model import Phase
from crystalbench.results.record import Record
from crystalbench.runs.lines import ProgressLines, score_of
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.phases import RunProgress
from crystalbench.runs.plan import Run
from crystalbench.targets import Target

if TYPE_CHECKING:
    from crystalbench.tasks import TaskSpec

WIDE = 120
"""Width of a terminal with room for a bar and the name of the phase."""


class _Title(ProgressColumn):
    """The title of a run on one line; the only column that is cut where there is no room."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class Bars:
    """A bar for each thing that is running, on a terminal; plain lines elsewhere.

    Args:
        console: where to write.
        transient: whether the bars vanish at the end.
    """

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        self.console = console
        self.is_wide = console.width >= WIDE
        bar = [BarColumn(bar_width=24, table_column=Column(no_wrap=True))] if self.is_wide else []
        self.bars = Progress(
            SpinnerColumn(table_column=Column(no_wrap=True)),
            _Title(),
            *bar,
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[unit]}", markup=False),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console,
            transient=transient,
            disable=not console.is_terminal,
        )
        self.lines = ProgressLines(lambda text: say_dimly(console, text))

    def __enter__(self) -> Bars:
        """Show the bars, or begin to write lines."""
        if self.console.is_terminal:
            self.bars.start()
        else:
            self.lines.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Refresh the bars no more, or write no more lines."""
        if self.console.is_terminal:
            self.bars.stop()
        else:
            self.lines.__exit__()

    def add(self, title: str, target: Target) -> BarProgress:
        """Show the progress of a run."""
        progress = BarProgress(title, target, self)
        self.lines.add(progress)
        return progress

    def remove(self, progress: BarProgress) -> None:
        """Show it no more."""
        self.lines.remove(progress)
        self.bars.remove_task(progress.bar)


class BarProgress(RunProgress):
    """The progress of a run, shown as a bar.

    Args:
        title: title of the run.
        target: what the run predicts.
        shown: the bars.
    """

    def __init__(self, title: str, target: Target, shown: Bars) -> None:
        super().__init__(title, target)
        self._bars, self._is_wide = shown.bars, shown.is_wide
        self.bar: TaskID = self._bars.add_task(title, total=None, numbers="", unit="")
        (self._task,) = (task for task in self._bars.tasks if task.id == self.bar)

    def __call__(
        self, done: int, total: int, *, phase: Phase = Phase.FITTING, unit: str = "steps", **numbers: float
    ) -> None:
        """Update the bar; it begins anew with each phase."""
        before = self.phase
        super().__call__(done, total, phase=phase, unit=unit, **numbers)
        shown: dict[str, Any] = {"unit": unit if total else "", "numbers": self._numbers_text()}
        if before is not phase:
            self._bars.reset(self.bar)
        self._task.total = total or None  # `update` leaves it as it is for None
        self._bars.update(self.bar, completed=done, **shown)

    def _numbers_text(self) -> str:
        measured = self.measured()
        return ", ".join([str(self.phase), *measured] if self._is_wide or not measured else measured)


class Reading:
    """Tells which task is being read, if that takes more than a moment.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self._lines = ProgressLines(lambda text: say_dimly(console, text))
        self._shown: RunProgress | None = None

    def __enter__(self) -> Reading:
        """Begin to write."""
        self._lines.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Write no more."""
        self._lines.__exit__()

    def __call__(self, spec: TaskSpec) -> RunProgress:
        """Tell of this task from now on."""
        if self._shown is not None:
            self._lines.remove(self._shown)
        self._shown = RunProgress(spec.name, spec.target)
        self._lines.add(self._shown)
        return self._shown


def say_dimly(console: Console, text: str) -> None:
    """Print a line about something that goes on."""
    console.print(escape(text), style="dim", highlight=False, soft_wrap=True)


class LiveProgress(SilentObserver):
    """A bar for all runs and one for each running one; on a plain stream, lines about running and finished runs.

    Args:
        console: where to write.
        total: number of runs.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.done = 0
        self.shown = Bars(console)
        self.overall = self.shown.bars.add_task("all runs", total=total, numbers="", unit="runs")
        self._running: dict[str, BarProgress] = {}
        self._announced_waiting = False

    def __enter__(self) -> LiveProgress:
        """Show the bars."""
        self.shown.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars of unfinished runs and leave the overall one."""
        for key in list(self._running):
            self._drop(key)
        self.shown.__exit__()

    def started(self, run: Run) -> RunProgress:
        """Add a bar for the run."""
        key = run.spec.key
        self._drop(key)  # another worker takes over from one that died
        self._running[key] = self.shown.add(run.title, run.task.target)
        return self._running[key]

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """Print one line for a run that was computed just now."""
        self._advance(run)
        if computed:
            self.console.print(
                f"[green]✓[/] {escape(f'{run.title}  {score_of(record)}')}  "
                f"[dim]({_tuning_text(record)}{record.seconds.fit:.1f} s, "
                f"{self.done} of {self.total})[/]",
                highlight=False,
                soft_wrap=True,
            )

    def waiting(self, runs: list[Run]) -> None:
        """Say once that other processes compute the remaining runs."""
        if not self._announced_waiting:
            self._announced_waiting = True
            number = f"{len(runs)} run{'s' * (len(runs) != 1)}"
            self.console.print(f"waiting for {number} that other processes compute", style="dim")

    def failed(self, run: Run, reason: str) -> None:
        """Print one line with the reason."""
        self._advance(run)
        text = f"[red]✗[/] {escape(run.title)}  [red]failed[/]: {escape(reason)}"
        self.console.print(text, highlight=False, soft_wrap=True)

    def _advance(self, run: Run) -> None:
        self.done += 1
        self.shown.bars.update(self.overall, completed=self.done)
        self._drop(run.spec.key)

    def _drop(self, key: str) -> None:
        if key in self._running:
            self.shown.remove(self._running.pop(key))


def _tuning_text(record: Record) -> str:
    """What tuning cost; a study of another fold was reported there."""
    tuned = record.tuned
    if tuned is None:
        return ""
    if tuned.fold != record.spec.fold:
        return f"as tuned on fold {tuned.fold}, "
    failed = f", {tuned.failed} failed," if tuned.failed else ""
    return f"tuned with {tuned.trials} trial{'s' * (tuned.trials != 1)}{failed} in {tuned.seconds:,.0f} s, "
