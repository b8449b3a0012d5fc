"""Studies as tables, and as pages with Optuna's own plots."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crystalbench._files import write_text
from crystalbench._validation import first_problem
from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.reports.winners import write_suite
from crystalbench.results.store import StudyStore
from crystalbench.results.study import State, Study, Trial
from crystalbench.targets import METRICS
from crystalbench.tuning.reading import load_studies
from crystalbench.tuning.storage import Storage

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGES = "pages"
"""Folder below the studies for what is made of them."""

FEWEST_FOR_IMPORTANCE = 8
"""Finished trials; of fewer, importances say little."""

MOST_SHOWN = 5
"""Configurations in a table."""

_LONGEST_REASON = 200

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def to_optuna(study: Study) -> optuna.Study:
    """The study as Optuna has it, in memory, for its plots and importances. Running trials are left out."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(study_name=study.name, direction="maximize" if study.higher_is_better else "minimize")
    space = {name: json_to_distribution(json.dumps(text)) for name, text in study.space.items()}
    for trial in study.trials:
        if trial.state == "running":
            continue
        made.add_trial(
            optuna.trial.create_trial(
                state=_STATES[trial.state],
                params=trial.parameters,
                distributions={name: space[name] for name in trial.parameters},
                value=trial.value,
                intermediate_values=dict(trial.intermediate),
            )
        )
    return made


def importances(study: Study) -> dict[str, float]:
    """Shares of the hyperparameters in how the value varies (PED-ANOVA, Optuna's default); empty for few trials.

    Source: Watanabe, Bansal and Hutter, IJCAI 2023.
    """
    values = {t.value for t in study.trials if t.state == "complete"}
    if study.count("complete") < FEWEST_FOR_IMPORTANCE or len(values) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(to_optuna(study))


def heading(study: Study) -> str:
    """Name and state of a study in one line."""
    done = len(study.trials) - study.count("running")
    tuning = study.spec.tuning
    if tuning is not None and tuning.trials is not None:
        spent = f"{done} of {tuning.budget}"
    else:
        spent = f"{done} trial{'s' * (done != 1)}" + (f" on a budget of {tuning.budget}" if tuning else "")
    reason = _reason(study)
    states: tuple[State, ...] = ("pruned", "running") if _all_failed(study) else ("pruned", "failed", "running")
    counts = ", ".join(f"{study.count(state)} {state}" for state in states if study.count(state))
    goes_on = "" if study.finished else ", not finished"
    view = "" if study.spec.view == "full" else f", view {study.spec.view}"
    parts = f", judged by {tuning.splits} inner folds" if tuning is not None and tuning.splits != 1 else ""
    return (
        f"{study.spec.task} · {study.label} · fold {study.spec.fold}{view}{parts}: {spent}"
        f"{f' ({counts})' if counts else ''}, {study.seconds:,.0f} s{goes_on}{reason}"
    )


def _reason(study: Study) -> str:
    """Why trials failed: the commonest reason, the earliest of equals."""
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
    """The best configurations and, for comparison, the one that was asked; with the hyperparameters' importances.

    Args:
        study: finished or not.
        width: of the screen, in characters: as many configurations are shown as fit whole, at most five, and at least
            one beside the one that was asked.
    """
    ranked = _ranked(study)
    shares = importances(study)
    endless = Console(width=10_000)
    for most in range(MOST_SHOWN, 1, -1):
        table = _table_of(study, shares, ranked, most)
        if endless.measure(table).maximum <= width:
            break
    return table


def _ranked(study: Study) -> list[Trial]:
    """The finished trials, the best first, the earliest of equals."""
    sign = -1 if study.higher_is_better else 1
    done = [t for t in study.trials if t.state == "complete" and t.value is not None]
    return sorted(done, key=lambda t: (sign * (t.value or 0.0), t.number))


def _table_of(study: Study, shares: Mapping[str, float], ranked: Sequence[Trial], most: int) -> Table:
    """A table of at most so many configurations."""
    spec = next((t for t in study.trials if t.number == 0), None) or _not_begun(study)
    shown = list(ranked[:most])
    if spec not in shown:
        shown = [*shown[: most - 1], spec]
    metric = METRICS[study.metric]
    unit = f" / {study.unit}" if metric.has_unit and study.unit else ""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    if shares:
        table.add_column("importance", justify="right", no_wrap=True)
    for trial in shown:
        name = f"trial {trial.number}" if trial.number else "as asked"
        style = "bold cyan" if ranked and trial is ranked[0] else ""
        table.add_column(name, justify="right", overflow="fold", min_width=9, style=style)
    blank = [""] if shares else []
    table.add_row(escape(f"{metric.label}{unit}"), *blank, *map(_value, shown))
    if len(ranked) > 1:
        ranks = (str(ranked.index(trial) + 1) if trial in ranked else "–" for trial in shown)
        table.add_row(f"rank of {len(ranked)}", *blank, *ranks)
    for name in sorted(study.space, key=lambda name: (-shares.get(name, 0.0), name)):
        share = [f"{100 * shares.get(name, 0.0):.0f} %"] if shares else []
        table.add_row(name, *share, *(_short(t.parameters.get(name)) for t in shown))
    return table


def _not_begun(study: Study) -> Trial:
    """What trial 0 will be, in no state."""
    spec = study.spec.parameters
    return Trial(number=0, state="complete", parameters={name: spec.get(name) for name in study.space})


def _value(trial: Trial) -> str:
    if trial.state != "complete":
        return trial.state
    return "–" if trial.value is None else f"{trial.value:.4g}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def figures(study: Study) -> list[Figure]:
    """Optuna's plots of a study: history, slices, and with enough trials importances, courses and coordinates."""
    made = to_optuna(study)
    plots = optuna.visualization
    metric = METRICS[study.metric]
    name = metric.label + (f" / {study.unit}" if metric.has_unit and study.unit else "")
    found = [plots.plot_optimization_history(made, target_name=name), plots.plot_slice(made, target_name=name)]
    if shares := importances(study):
        found.insert(1, plots.plot_param_importances(made, target_name=name))
        found.append(plots.plot_parallel_coordinate(made, params=list(shares)[:6], target_name=name))
    if any(trial.intermediate for trial in study.trials):
        courses = plots.plot_intermediate_values(made)
        courses.update_layout(
            title="Courses", xaxis_title="tenths of the training", yaxis_title="best validation score"
        )
        found.append(courses)
    return found


def write_page(study: Study, folder: Path) -> Path:
    """Write a page with a study's plots; the plots' program lies beside it once.

    Raises:
        OSError: the folder cannot be written.
    """
    from html import escape

    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "plotly.min.js"
    if not script.is_file():
        from plotly.offline import get_plotlyjs

        write_text(script, get_plotlyjs())
    drawn = [f"<div>{figure.to_html(full_html=False, include_plotlyjs=False)}</div>" for figure in figures(study)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<title>{escape(study.name)}</title>\n<script src="{script.name}"></script>\n'
        "<style>body { font-family: sans-serif; margin: 1.5em; } div { overflow-x: auto; }</style>\n"
        f"<h1>{escape(study.spec.task)}: {escape(study.label)}</h1>\n<p>{escape(heading(study))}</p>\n"
        + "\n".join(drawn)
        + "\n</html>\n"
    )
    path = folder / f"{study.name}.html"
    write_text(path, page)
    return path


def write_all(study: Study, folder: Path) -> list[Path]:
    """Write a study's page and, where a trial was finished, its winning suite.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    try:
        return [write_page(study, folder), *([write_suite(study, folder)] if study.best else [])]
    except OSError as error:
        raise CrystalBenchError(f"{folder}: cannot be written ({error.strerror or error})") from error


def read_studies(folder: Path, storage: str | None) -> tuple[list[Study], list[CrystalBenchError]]:
    """Finished studies from their files, the others from the storage; and an error for all that cannot be read.

    Args:
        folder: the folder of studies.
        storage: URL of a storage; without one, the sqlite file of the folder is read if it is there, and is one of
            the errors if it cannot be used.

    Raises:
        ConfigError: the storage of this URL cannot be used.
    """
    studies, damaged = StudyStore(folder).read_all()
    problems: list[CrystalBenchError] = [*damaged]
    place = Storage(storage) if storage else Storage.below(folder)
    if place.file is None or place.file.is_file():
        known = {study.name for study in studies}
        try:
            studies += [study for study in _under_way(place) if study.name not in known]
        except ConfigError as error:
            if storage:
                raise
            problems.append(error)
    return sorted(studies, key=lambda s: (s.spec.task, s.label, s.spec.view, s.spec.fold, s.name)), problems


def _under_way(place: Storage) -> list[Study]:
    try:
        with place.translated_errors():
            return load_studies(place)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"storage {place.masked_url}: holds something else than studies of this version of CrystalBench and Optuna "
            f"({first_problem(error)}); read it with the versions that made it"
        ) from error


def chosen(studies: Sequence[Study], tasks: Sequence[str], models: Sequence[str], folds: Sequence[int]) -> list[Study]:
    """The studies of these tasks, models (by name or label) and folds; of all where nothing is given."""
    return [
        study
        for study in studies
        if (not tasks or study.spec.task in tasks)
        and (not models or study.label in models or study.spec.model in models)
        and (not folds or study.spec.fold in folds)
    ]
