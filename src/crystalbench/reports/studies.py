"""Studies as tables, as pages with Optuna's own plots, and the winning configuration as a suite."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState
from rich import box
from rich.table import Table

from crystalbench.errors import CrystalBenchError, RecordError
from crystalbench.evaluation.metrics import METRICS
from crystalbench.models import model_names
from crystalbench.records import Asked
from crystalbench.reports.files import write_text
from crystalbench.studies import State, Study, StudyFiles, Trial
from crystalbench.tasks import task_specs
from crystalbench.tuning.reading import unfinished
from crystalbench.tuning.storage import Storage
from crystalbench.views import view_names

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGES = "pages"
"""Folder below the studies for what is made of them."""

FEWEST_FOR_IMPORTANCE = 4

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
    tuning = study.asked.tuning
    if tuning is not None and tuning.trials is not None:
        spent = f"{done} of {tuning.budget}"
    else:
        spent = f"{done} trial{'s' * (done != 1)}" + (f" on a budget of {tuning.budget}" if tuning else "")
    states: tuple[State, ...] = ("pruned", "failed", "running")
    counts = ", ".join(f"{study.count(state)} {state}" for state in states if study.count(state))
    goes_on = "" if study.finished else ", not finished"
    view = "" if study.asked.view == "full" else f", view {study.asked.view}"
    return (
        f"{study.asked.task} · {study.label} · fold {study.asked.fold}{view}: {spent}"
        f"{f' ({counts})' if counts else ''}, {study.seconds:,.0f} s{goes_on}"
    )


def best_table(study: Study, width: int = 100) -> Table:
    """The best configurations and, for comparison, the one that was asked; with the hyperparameters' importances.

    Args:
        study: finished or not.
        width: of the screen, in characters; at most five configurations are shown, and on a narrow screen fewer.
    """
    shown = min(5, max(1, (width - 34) // 10 - 1))
    metric = METRICS[study.metric]
    unit = f" / {study.unit}" if metric.has_unit and study.unit else ""
    shares = importances(study)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    if shares:
        table.add_column("importance", justify="right", no_wrap=True)
    trials = _best(study, shown)
    for trial in trials:
        best = study.best is not None and trial.number == study.best.number
        name = f"trial {trial.number}" if trial.number else "as asked"
        table.add_column(name, justify="right", overflow="fold", min_width=9, style="bold cyan" if best else "")
    blank = [""] if shares else []
    table.add_row(f"{metric.label}{unit}", *blank, *("–" if t.value is None else f"{t.value:.4g}" for t in trials))
    for name in sorted(study.space, key=lambda name: (-shares.get(name, 0.0), name)):
        share = [f"{100 * shares.get(name, 0.0):.0f} %"] if shares else []
        table.add_row(name, *share, *(_short(t.parameters.get(name)) for t in trials))
    return table


def _best(study: Study, shown: int) -> list[Trial]:
    sign = -1 if study.higher_is_better else 1
    done = [t for t in study.trials if t.value is not None]
    ranked = sorted(done, key=lambda t: (sign * (t.value or 0.0), t.number))
    return [*ranked[:shown], *(t for t in ranked[shown:] if t.number == 0)]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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
        f"<h1>{escape(study.asked.task)}: {escape(study.label)}</h1>\n<p>{escape(heading(study))}</p>\n"
        + "\n".join(drawn)
        + "\n</html>\n"
    )
    path = folder / f"{study.name}.html"
    write_text(path, page)
    return path


def to_suite(study: Study) -> str:
    """A suite (TOML) whose only model is the winning configuration, on the study's task.

    A study knows names but no places. Above what is not registered stands a remark that says what to write instead.

    Raises:
        ValueError: no trial was finished.
    """
    best = study.best
    if best is None:
        raise ValueError(f"study {study.name}: no trial was finished")
    asked = study.asked
    parameters = {**asked.parameters, **best.parameters}
    pairs = ", ".join(f"{name} = {_toml(value)}" for name, value in parameters.items() if value is not None)
    label = f"{study.label}, fold {asked.fold}'s"
    return (
        f"# Trial {best.number} of {study.name}: {study.metric} {best.value:.6g} on inner rows of fold {asked.fold}.\n"
        "# Found in the training part of this fold, which holds the test rows of the others.\n"
        f"description = {_toml(f'{study.label} as it was tuned on fold {asked.fold}')}\n"
        f"{_task_remark(asked)}tasks = [{_toml(asked.task)}]\n"
        f"{_model_remark(asked)}models = [\n"
        f"    {{ model = {_toml(asked.model)}, label = {_toml(label)}, parameters = {{ {pairs} }} }},\n"
        "]\n\n"
        "[protocol]\n"
        f"inner_folds = {asked.protocol.inner_folds}\n"
        f"{_view_remark(asked)}views = [{_toml(asked.view)}]\n"
    )


def _task_remark(asked: Asked) -> str:
    if asked.task in task_specs():
        return ""
    return "# Not a registered task: write the path of its task file (.toml) instead.\n"


def _model_remark(asked: Asked) -> str:
    place, colon, _ = asked.model.rpartition(":")
    if asked.model in model_names() or (colon and not place.endswith(".py")):
        return ""
    if not colon:
        return "# Not a registered model: install the package that has it.\n"
    return f"# Not a registered model: write where it is, {_toml(f'path/to/{asked.model}')}.\n"


def _view_remark(asked: Asked) -> str:
    if asked.view in view_names():
        return ""
    return '# Not a registered view: write where it is, "path/to/file.py:name".\n'


def write_suite(study: Study, folder: Path) -> Path:
    """Write the winning configuration beside the page.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study.name}.toml"
    write_text(path, to_suite(study))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)(e.*)?$", r"\1.0\2", repr(value))
    return json.dumps(value)


def write_all(study: Study, folder: Path) -> list[Path]:
    """Write a study's page and, where a trial was finished, its winning suite.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    try:
        return [write_page(study, folder), *([write_suite(study, folder)] if study.best else [])]
    except OSError as error:
        raise CrystalBenchError(f"{folder}: cannot be written ({error.strerror or error})") from error


def read_studies(folder: Path, storage: str | None) -> tuple[list[Study], list[RecordError]]:
    """Finished studies from their files, the others from the storage; and an error for every damaged file.

    Args:
        folder: the folder of studies.
        storage: URL of a storage; without one, the sqlite file of the folder is read if it is there.

    Raises:
        ConfigError: the storage cannot be used.
    """
    studies, problems = StudyFiles(folder).read_all()
    place = Storage(storage) if storage else Storage.below(folder)
    if place.file is None or place.file.is_file():
        known = {study.name for study in studies}
        studies += [study for study in unfinished(place) if study.name not in known]
    return sorted(studies, key=lambda s: (s.asked.task, s.label, s.asked.view, s.asked.fold, s.name)), problems


def chosen(studies: Sequence[Study], tasks: Sequence[str], models: Sequence[str], folds: Sequence[int]) -> list[Study]:
    """The studies of these tasks, models (by name or label) and folds; of all where nothing is given."""
    return [
        study
        for study in studies
        if (not tasks or study.asked.task in tasks)
        and (not models or study.label in models or study.asked.model in models)
        and (not folds or study.asked.fold in folds)
    ]
