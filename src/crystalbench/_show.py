"""What the command line shows while runs go on."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from crystalbench.evaluation.metrics import METRICS
from crystalbench.records import Record
from crystalbench.runs.engine import Unwatched
from crystalbench.runs.plan import Run


class LiveProgress(Unwatched):
    """A bar over all runs and one for the run under way; on a plain stream, one line for each finished run.

    Args:
        console: where to write.
        total: number of runs.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.done = 0
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.overall = self.bars.add_task("all runs", total=total, numbers="")
        self._bars_of: dict[str, TaskID] = {}
        self._said_waiting = False

    def __enter__(self) -> LiveProgress:
        """Show the bars."""
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars of unfinished runs away and leave the overall one."""
        for key in list(self._bars_of):
            self._drop(key)
        self.bars.stop()

    def started(self, run: Run) -> _RunProgress:
        """A bar for the run."""
        key = run.asked.key
        self._drop(key)  # another worker takes over from one that died
        self._bars_of[key] = self.bars.add_task(run.title, total=None, numbers="")
        return _RunProgress(self.bars, self._bars_of[key])

    def finished(self, run: Run, record: Record, *, here: bool) -> None:
        """One line for a run that was made just now."""
        self._advance(run)
        if here:
            metric = METRICS[record.metric]
            value = record.scores.get(record.metric)
            unit = f" {record.unit}" if metric.has_unit and record.unit else ""
            shown = "undefined" if value is None else f"{value:.4g}{unit}"
            tuned = record.tuned
            tuning = "" if tuned is None else f"tuned with {tuned.trials} trials in {tuned.seconds:,.0f} s, "
            self.console.print(
                f"[green]✓[/] {run.title}  {metric.label} {shown}  [dim]({tuning}{record.seconds.fit:.1f} s, "
                f"{self.done} of {self.total})[/]",
                highlight=False,
                soft_wrap=True,
            )

    def waiting(self, runs: list[Run]) -> None:
        """Say once that other processes are at work."""
        if not self._said_waiting:
            self._said_waiting = True
            self.console.print(f"waiting for {len(runs)} runs that other processes are doing", style="dim")

    def failed(self, run: Run, reason: str) -> None:
        """One line with the reason."""
        self._advance(run)
        self.console.print(f"[red]✗[/] {run.title}  [red]failed[/]: ", reason, highlight=False, sep="")

    def _advance(self, run: Run) -> None:
        self.done += 1
        self.bars.update(self.overall, completed=self.done)
        self._drop(run.asked.key)

    def _drop(self, key: str) -> None:
        if key in self._bars_of:
            self.bars.remove_task(self._bars_of.pop(key))


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
