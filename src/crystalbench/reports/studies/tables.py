"""Studies as a line and a table on screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crystalbench.reports.formatting import MISSING, metric_title
from crystalbench.reports.studies.optuna import importances
from crystalbench.results.spec import TuningSpec
from crystalbench.results.study import State, Study, Trial
from crystalbench.targets import METRICS

MOST_SHOWN = 5
"""Largest number of configurations in a table."""

INITIAL = "initial"
"""Title of trial 0, the configuration before tuning."""

_LONGEST_REASON = 200
_USUAL = TuningSpec(trials=1)


def heading(study: Study) -> str:
    """Name and state of a study on one line."""
    done = len(study.trials) - study.count("running")
    tuning = study.spec.tuning
    if tuning is not None and tuning.trials is not None:
        spent = f"{done} of {tuning.budget}"
    else:
        spent = f"{done} trial{'s' * (done != 1)}" + (f" on a budget of {tuning.budget}" if tuning else "")
    reason = _reason(study)
    states: tuple[State, ...] = ("pruned", "running") if _all_failed(study) else ("pruned", "failed", "running")
    counts = ", ".join(f"{study.count(state)} {state}" for state in states if study.count(state))
    unfinished = "" if study.finished else ", not finished"
    view = "" if study.spec.view == "full" else f", view {study.spec.view}"
    decision = f"; {study.decision.reason}" if study.decision and study.finished else ""
    return (
        f"{study.spec.task} · {study.label} · fold {study.spec.fold}{view}{_evaluations(tuning)}: {spent}"
        f"{f' ({counts})' if counts else ''}, {study.seconds:,.0f} s{unfinished}{decision}{reason}"
    )


def _evaluations(tuning: TuningSpec | None) -> str:
    """What scores a trial, unless it is what the options say by default."""
    if tuning is None or (tuning.splits, tuning.seeds) == (_USUAL.splits, _USUAL.seeds):
        return ""
    return f", scored on {_count(tuning.splits, 'inner fold')} with {_count(tuning.seeds, 'seed')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _reason(study: Study) -> str:
    """The most common error of the failed trials; of equally common ones, the earliest."""
    failed = study.count("failed")
    if not failed:
        return ""
    reasons = Counter(t.error or "no reason given" for t in study.trials if t.state == "failed")
    text, times = reasons.most_common(1)[0]
    text = text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"
    of_them = f", {times} of them" * (times < failed)
    return f"; {'all ' * (failed > 1) * _all_failed(study)}failed{of_them} with: {text}"


def _all_failed(study: Study) -> bool:
    return study.count("failed") + study.count("running") == len(study.trials)


def best_table(study: Study, width: int = 100) -> Table:
    """The best configurations next to the initial one (trial 0), with the importances of the hyperparameters.

    The configuration that runs use is highlighted.

    Args:
        study: finished or not.
        width: width of the screen in characters. As many configurations are shown as fit without a line break: at most
            five, and at least one in addition to the initial one.
    """
    ranked = _ranked(study)
    shares = importances(study)
    unlimited = Console(width=10_000)
    for most in range(MOST_SHOWN, 1, -1):
        table = _table_of(study, shares, ranked, most)
        if unlimited.measure(table).maximum <= width:
            break
    return table


def _ranked(study: Study) -> list[Trial]:
    """The completed trials, best first; equal ones in the order of their numbers."""
    sign = -1 if study.higher_is_better else 1
    done = [t for t in study.trials if t.state == "complete" and t.value is not None]
    return sorted(done, key=lambda t: (sign * (t.value or 0.0), t.number))


def _table_of(study: Study, shares: Mapping[str, float], ranked: Sequence[Trial], most: int) -> Table:
    """A table of at most ``most`` configurations."""
    initial = next((t for t in study.trials if t.number == 0), None) or _not_started(study)
    shown = list(ranked[:most])
    if initial not in shown:
        shown = [*shown[: most - 1], initial]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    if shares:
        table.add_column("importance", justify="right", no_wrap=True)
    for trial in shown:
        name = f"trial {trial.number}" if trial.number else INITIAL
        style = "bold cyan" if trial is study.chosen else ""
        table.add_column(name, justify="right", overflow="fold", min_width=9, style=style)
    blank = [""] if shares else []
    table.add_row(escape(metric_title(METRICS[study.metric], study.unit)), *blank, *map(_value, shown))
    if len(ranked) > 1:
        ranks = (str(ranked.index(trial) + 1) if trial in ranked else MISSING for trial in shown)
        table.add_row(f"rank of {len(ranked)}", *blank, *ranks)
    for name in sorted(study.space, key=lambda name: (-shares.get(name, 0.0), name)):
        share = [f"{100 * shares.get(name, 0.0):.0f} %"] if shares else []
        table.add_row(name, *share, *(_short(t.parameters.get(name)) for t in shown))
    return table


def _not_started(study: Study) -> Trial:
    """Trial 0 of a study that has not started it yet, without a value."""
    parameters = study.spec.parameters
    return Trial(number=0, state="complete", parameters={name: parameters.get(name) for name in study.space})


def _value(trial: Trial) -> str:
    if trial.state != "complete":
        return trial.state
    return MISSING if trial.value is None else f"{trial.value:.4g}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))
