"""The public functions for scripts and notebooks, which ``import crystalbench as cb`` offers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalbench.results import Results
from crystalbench.results.record import Record
from crystalbench.tasks import load_task

if TYPE_CHECKING:
    import pandas as pd

    from crystalbench.evaluation.comparison import Comparison
    from crystalbench.models import Model
    from crystalbench.runs.final import FinalModel
    from crystalbench.tasks import Task


class RunResults(Results):
    """Results of `run`: scores and predictions as data frames, and fitted models where they are kept.

    Attributes:
        models: fitted models by label, fold and seed, e.g. ``models["cgcnn", 0, 0]``; of an ensemble, a tuple of its
            members. Empty unless ``keep_models=True``.
        failures: reasons of failed runs by title.
    """

    def __init__(
        self,
        records: Sequence[Record],
        models: Mapping[tuple[str, int, int], tuple[Model, ...]],
        failures: Mapping[str, str],
    ) -> None:
        super().__init__(records)
        self.models: dict[tuple[str, int, int], Model | tuple[Model, ...]] = {
            key: members[0] if len(members) == 1 else members for key, members in models.items()
        }
        self.failures = dict(failures)


def run(
    model: str | type[Model] | Sequence[str | type[Model]],
    task: str | Task,
    *,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    view: str = "full",
    results: Path | str | None = None,
    keep_models: bool = False,
    ensemble: int | None = None,
    inner_folds: int | None = None,
    fold_scheme: str | None = None,
    train_fraction: float | Sequence[float] | None = None,
    trials: int | None = None,
    device: str = "cpu",
    workers: int | None = None,
    engine: str | None = None,
    address: str | None = None,
    cpus_per_run: float | None = None,
    gpus_per_run: float | None = None,
    progress: bool = True,
    **hyperparameters: Any,
) -> RunResults:
    """Run one or several models on a task under the protocol, as ``crystalbench run`` does.

    For each fold, the training part is split, the model is fitted, and the test part is predicted once.

    Args:
        model: registered name, ``package.module:Class``, ``path/to/file.py:Class``, or a class; or several of them.
        task: a loaded task, or the name of one whose data are available.
        folds: numbers of the outer folds; all by default.
        seeds: numbers of the repetitions; 0 by default.
        view: what the models may see.
        results: folder in which records are kept; a run whose record is there is not computed again. By default
            nothing is written.
        keep_models: whether to return fitted models.
        ensemble: number of members, each validated on another inner fold.
        inner_folds: number of inner folds of the training part.
        fold_scheme: how the outer folds are made, e.g. ``formula`` or ``element:O``, or a ``.json`` file of folds; by
            default those of the task.
        train_fraction: shares of the training part to learn from, e.g. ``[0.1, 0.2, 0.5, 1]``; by default all of it.
        trials: number of tuning trials inside the training part of each fold; none by default.
        device: torch device.
        workers: number of processes; by default as many as cores, at most as many as runs. On a Ray cluster, number of
            runs in flight; by default as many as it has room for.
        engine: where runs are computed: ``serial``, ``processes`` or ``ray``; by default in processes if there are
            several workers.
        address: of a Ray cluster: ``auto``, ``host:6379`` or ``ray://host:10001``; one on this machine by default.
        cpus_per_run: CPUs that a run reserves on a Ray cluster; by default as many as it has threads.
        gpus_per_run: GPUs that a run reserves on a Ray cluster, e.g. 0.25 for four runs on a GPU.
        progress: whether to write lines about the progress to the error stream, for runs of more than two seconds.
        **hyperparameters: hyperparameters other than the defaults, for the models that have them.

    Raises:
        UnknownNameError: there is no such task, model, view, fold scheme or hyperparameter.
        ConfigError: a fold does not exist, or a value is wrong.
        CrystalBenchError: all runs failed.

    Example:
        >>> result = run("dummy", load_task("demo_bulk_modulus", limit=60), folds=[0])
        >>> result.scores["metric"].tolist()
        ['mae', 'rmse', 'r2', 'max_error']
    """
    from crystalbench.runs import run_models
    from crystalbench.runs.executors import Engine
    from crystalbench.runs.lines import LineObserver
    from crystalbench.runs.resources import Reservation

    _refuse_misnamed(hyperparameters, {"fold": "folds", "seed": "seeds", "views": "view", "tune": "trials"})
    with LineObserver() if progress else contextlib.nullcontext() as observer:
        found = run_models(
            model,
            _task(task),
            folds=folds,
            seeds=seeds,
            view=view,
            parameters=hyperparameters,
            results=results,
            keep_models=keep_models,
            ensemble=ensemble,
            inner_folds=inner_folds,
            fold_scheme=fold_scheme,
            train_fraction=train_fraction,
            tuning=trials,
            device=device,
            workers=workers,
            engine=Engine(engine, address, Reservation(cpus_per_run, gpus_per_run)),
            observer=observer,
        )
    return RunResults(found.records, found.models, found.failures)


def fit(
    model: str | type[Model],
    task: str | Task,
    *,
    view: str = "full",
    ensemble: int = 1,
    inner_folds: int = 10,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
    progress: bool = True,
    **hyperparameters: Any,
) -> FinalModel:
    """Fit a model to all rows of a task, for predictions of new materials, as ``crystalbench fit`` does.

    Args:
        model: registered name, ``package.module:Class``, ``path/to/file.py:Class``, or a class.
        task: a loaded task, or the name of one whose data are available.
        view: what the model may see.
        ensemble: number of members, each validated on another inner fold; their spread is an uncertainty.
        inner_folds: number of inner folds; one of them validates.
        seed: number of the repetition.
        device: torch device.
        threads: threads.
        progress: whether to write lines about the progress to the error stream, for a fit of more than two seconds.
        **hyperparameters: hyperparameters other than the defaults.

    Raises:
        UnknownNameError: there is no such task, model, view or hyperparameter.
        ConfigError: a value is wrong.
        DataError: the model needs structures and the task has none.

    Example:
        >>> final = fit("magpie_forest", load_task("demo_bulk_modulus", limit=60), trees=5)
        >>> final.target.unit
        'GPa'
    """
    from crystalbench.models.model import silent
    from crystalbench.results.spec import ProtocolSpec
    from crystalbench.runs.final import fit_final
    from crystalbench.runs.lines import ProgressLines
    from crystalbench.runs.phases import RunProgress
    from crystalbench.runs.resources import Resources

    _refuse_misnamed(hyperparameters, {"seeds": "seed", "views": "view", "folds": "inner_folds"})
    loaded = _task(task)
    name = model if isinstance(model, str) else getattr(model, "__qualname__", str(model))
    with ProgressLines() as lines:
        return fit_final(
            model,
            loaded,
            hyperparameters,
            view=view,
            protocol=ProtocolSpec(inner_folds=inner_folds, ensemble=ensemble),
            seed=seed,
            resources=Resources(device, threads),
            progress=lines.add(RunProgress(f"{loaded.name} · {name}", loaded.target)) if progress else silent,
        )


def load_model(folder: Path | str, *, device: str = "cpu", threads: int = 1) -> FinalModel:
    """Read a model that `fit` or ``crystalbench fit`` saved.

    Raises:
        SavingError: there is no such folder, it is damaged, or was written by another version of the model.
    """
    from crystalbench.runs.final import FinalModel

    return FinalModel.load(folder, device=device, threads=threads)


def compare(
    results: Results | pd.DataFrame,
    a: str,
    b: str,
    task: str | None = None,
    metric: str | None = None,
    *,
    formulas: Mapping[str, str] | None = None,
    rope: float | None = None,
) -> Comparison:
    """Test whether two entries differ on a task, fold by fold on the same test samples.

    Args:
        results: results, or a frame of predictions.
        a: title of an entry, e.g. ``hybrid`` or ``hybrid (tuned)``.
        b: title of the entry that is subtracted.
        task: name of the task; may be left out if the results are of one task.
        metric: name of a metric; the main metric of the task by default.
        formulas: formula by id, so that the bootstrap over test rows draws those of one composition together.
        rope: half the width of the region of practical equivalence, in the unit of the metric; by default, 1 % of the
            better error, or 0.01 for metrics of which higher scores are better.

    Raises:
        UnknownNameError: there is no such task, entry or metric.
        ConfigError: the results are of several tasks and none is named, or they are something else.
        DataError: there are fewer than two common folds, or a formula is missing.
    """
    from crystalbench.evaluation import comparison

    _check_results(results, "predictions")
    predictions = results.predictions if isinstance(results, Results) else results
    return comparison.compare(predictions, a, b, _only_task(predictions, task), metric, formulas=formulas, rope=rope)


def leaderboard(results: Results | pd.DataFrame, task: str | None = None) -> pd.DataFrame:
    """The entries of a task with mean and standard deviation over folds, best first, published ones included.

    Args:
        results: results, or a frame of scores.
        task: name of the task; may be left out if the results are of one task.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: the results are of several tasks and none is named, or they are something else.
        DataError: a frame has runs on other folds than the official ones, which are scored from predictions.
    """
    from crystalbench.evaluation.leaderboard import leaderboard as rank

    _check_results(results, "scores")
    if not isinstance(results, Results):
        return rank(results, task)
    return rank(results.scores, task, results.predictions_on_other_folds)


def list_models() -> pd.DataFrame:
    """All registered models: name, what they need, which targets they predict, and one line of description."""
    import pandas as pd

    from crystalbench.models import get_model, model_names
    from crystalbench.models.registry import summary

    models = {name: get_model(name) for name in model_names()}
    return pd.DataFrame(
        {
            "model": list(models),
            "needs": [str(model.needs) for model in models.values()],
            "targets": [", ".join(sorted(model.kinds)) for model in models.values()],
            "description": [summary(model) for model in models.values()],
        }
    )


def _refuse_misnamed(hyperparameters: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Refuse arguments under a usual wrong name, which would be taken for hyperparameters."""
    from crystalbench.errors import ConfigError

    for name, right in arguments.items():
        if name in hyperparameters:
            raise ConfigError(f"there is no argument {name}; did you mean {right}?")


def _task(task: str | Task) -> Task:
    from crystalbench.errors import ConfigError
    from crystalbench.tasks import Task

    if not isinstance(task, str | Task):
        raise ConfigError(f"task = {task!r}: give a task of load_task(...), or its name")
    return load_task(task) if isinstance(task, str) else task


def _check_results(results: object, frame: str) -> None:
    import pandas as pd

    from crystalbench.errors import ConfigError

    if not isinstance(results, Results | pd.DataFrame):
        raise ConfigError(
            f"results = {results!r}: give results of load_results(...) or run(...), or their frame {frame}"
        )


def _only_task(frame: pd.DataFrame, task: str | None) -> str:
    from crystalbench.errors import ConfigError
    from crystalbench.evaluation.columns import require_columns

    if task is not None:
        return task
    require_columns(frame, ["task"], "predictions")
    names = sorted(frame["task"].unique())
    if len(names) != 1:
        raise ConfigError(f"the results are of {len(names)} tasks ({', '.join(names)}); name one with task=...")
    return str(names[0])
