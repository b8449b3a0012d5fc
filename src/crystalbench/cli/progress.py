"""Progress of runs: bars on a terminal, one line per finished run otherwise."""

from __future__ import annotations

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

from crystalbench.results.record import Record
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Run
from crystalbench.targets import METRICS

WIDE = 120
"""Width of a terminal with room for a bar."""


class _Title(ProgressColumn):
    """The title of a run on one line; the only column that is cut where there is no room."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class LiveProgress(SilentObserver):
    """A bar for all runs and one for each running one; on a plain stream, one line per finished run.

    Args:
        console: where to write.
        total: number of runs.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.done = 0
        bar = [BarColumn(bar_width=24, table_column=Column(no_wrap=True))] if console.width >= WIDE else []
        self.bars = Progress(
            SpinnerColumn(table_column=Column(no_wrap=True)),
            _Title(),
            *bar,
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.overall = self.bars.add_task("all runs", total=total, numbers="")
        self._bars_of: dict[str, TaskID] = {}
        self._announced_waiting = False

    def __enter__(self) -> LiveProgress:
        """Show the bars."""
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars of unfinished runs and leave the overall one."""
        for key in list(self._bars_of):
            self._drop(key)
        self.bars.stop()

    def started(self, run: Run) -> _RunProgress:
        """Add a bar for the run."""
        key = run.spec.key
        self._drop(key)  # another worker takes over from one that died
        self._bars_of[key] = self.bars.add_task(run.title, total=None, numbers="")
        return _RunProgress(self.bars, self._bars_of[key])

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """Print one line for a run that was computed just now."""
        self._advance(run)
        if computed:
            metric = METRICS[record.metric]
            value = record.scores.get(record.metric)
            unit = f" {record.unit}" if metric.has_unit and record.unit else ""
            shown = "undefined" if value is None else f"{value:.4g}{unit}"
            self.console.print(
                f"[green]✓[/] {escape(f'{run.title}  {metric.label} {shown}')}  "
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
        self.bars.update(self.overall, completed=self.done)
        self._drop(run.spec.key)

    def _drop(self, key: str) -> None:
        if key in self._bars_of:
            self.bars.remove_task(self._bars_of.pop(key))


def _tuning_text(record: Record) -> str:
    """What tuning cost; a study of another fold was reported there."""
    tuned = record.tuned
    if tuned is None:
        return ""
    if tuned.fold != record.spec.fold:
        return f"as tuned on fold {tuned.fold}, "
    failed = f", {tuned.failed} failed," if tuned.failed else ""
    return f"tuned with {tuned.trials} trial{'s' * (tuned.trials != 1)}{failed} in {tuned.seconds:,.0f} s, "


class _RunProgress:
    def __init__(self, bars: Progress, bar: TaskID) -> None:
        self.bars, self.bar = bars, bar

    def __call__(self, done: int, total: int, **numbers: float) -> None:
        parts = [f"{name} {value:.3g}" for name, value in numbers.items() if name not in ("trial", "trials")]
        if (trial := numbers.get("trial")) is not None:
            budget = f" of {numbers['trials']:.0f}" if "trials" in numbers else ""
            parts.insert(0, f"trial {trial + 1:.0f}{budget}")
        shown = "  ".join(parts)
        self.bars.update(self.bar, completed=done, total=total, numbers=shown)
