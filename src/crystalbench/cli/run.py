"""``crystalbench run``: compute the missing records of a suite."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from crystalbench.cli import options
from crystalbench.cli.console import INTERRUPTED, command, complain, errors, note, say, screen
from crystalbench.errors import ConfigError

if TYPE_CHECKING:
    from crystalbench.results.store import RecordStore
    from crystalbench.runs.executors import Engine, Executor
    from crystalbench.runs.plan import Plan, Run, Selection
    from crystalbench.runs.runner import Runner
    from crystalbench.runs.scheduler import Outcome
    from crystalbench.runs.suite import Suite
    from crystalbench.tasks import DataSources, Task
    from crystalbench.tuning import Storage


def run(
    suite: Annotated[str | None, typer.Option(help="Name of a suite, or a TOML file. [default: demo]")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task (repeatable); or a task file .toml.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Only this model (repeatable); also package.module:Class or file.py:Class."),
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this outer fold (repeatable).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this repetition (repeatable).", min=0)] = None,
    view: Annotated[
        list[str] | None, typer.Option(help="What models may see, e.g. anonymous+unit_density (repeatable).")
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            help="How the outer folds are made: official, formula, chemical_system, space_group, element:O, cluster, "
            "target_tail, or a file of --folds-out. [default: official]",
            metavar="SCHEME",
        ),
    ] = None,
    folds_out: Annotated[
        Path | None, typer.Option(help="Write the folds of the task to this file, for --folds.", metavar="FILE.json")
    ] = None,
    train_fraction: Annotated[
        str | None,
        typer.Option(
            help="Shares of the training part to learn from, e.g. 0.1,0.2,0.5,1. [default: all of it]",
            metavar="SHARES",
        ),
    ] = None,
    set_: options.Settings = None,
    data_dir: options.DataDir = None,
    data: options.Data = None,
    limit: options.Limit = None,
    results: Annotated[Path | None, options.RESULTS] = None,
    inner_folds: Annotated[
        int | None, typer.Option(help="Inner folds of a training part; one of them validates.", min=2)
    ] = None,
    ensemble: Annotated[
        int | None, typer.Option(help="Ensemble members, each validated on another inner fold.", min=1)
    ] = None,
    tune: Annotated[
        int | None, typer.Option(help="Number of tuning trials of each model; 0 for none.", min=0, metavar="TRIALS")
    ] = None,
    tune_minutes: Annotated[
        float | None, typer.Option(help="Or the time for all trials of a study together.", metavar="MINUTES")
    ] = None,
    tune_scheme: Annotated[
        str | None, typer.Option(help="per_fold, or first_fold: tune on the first fold for all. [default: per_fold]")
    ] = None,
    tune_inner_folds: Annotated[
        int | None, typer.Option(help="Inner folds of a training part for tuning. [default: 5]", min=2)
    ] = None,
    tune_splits: Annotated[
        int | None, typer.Option(help="Number of these that score a trial. [default: 3]", min=1)
    ] = None,
    tune_seeds: Annotated[
        int | None, typer.Option(help="Number of seeds of a trial on each of these. [default: 2]", min=1)
    ] = None,
    storage: options.Storage = None,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that compute runs; on a cluster, runs in flight. [default: usable cores / threads, at most "
            "the runs; what the cluster has room for]",
            min=1,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="serial, processes or ray. [default: processes if there are several workers]", metavar="NAME"
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster: auto, host:6379 or ray://host:10001. [default: start one on this machine]",
            metavar="ADDRESS",
        ),
    ] = None,
    cpus_per_run: Annotated[
        float | None,
        typer.Option(
            help="CPUs that a run reserves on a Ray cluster. [default: its threads]", min=0.001, metavar="NUMBER"
        ),
    ] = None,
    gpus_per_run: Annotated[
        float | None,
        typer.Option(help="GPUs that a run reserves, e.g. 0.25 for four on a GPU.", min=0, metavar="NUMBER"),
    ] = None,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Save the fitted models in the folder models of the results.")
    ] = False,
    offline: options.Offline = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List tasks, models, views and suites, or those of --suite.")
    ] = False,
    verbose: options.Verbose = False,
) -> None:
    """Compute the missing records of a suite, then show the leaderboard.

    Without options, the demo suite runs on data that ships with CrystalBench. A run whose record exists is skipped:
    stop at any time, and repeat the command to continue.
    """
    with command(verbose):
        if list_:
            from crystalbench.cli.listing import print_lists, print_suite

            if suite is None:
                print_lists(screen, options.data_sources(data_dir, data, limit, offline))
            else:
                print_suite(screen, suite, options.data_sources(data_dir, data, limit, offline))
            return
        from crystalbench.runs.plan import Selection
        from crystalbench.runs.suite import with_tuning

        selection = Selection(task or (), model or (), fold or (), seed or (), view or (), options.parameters(set_))
        search = {"scheme": tune_scheme, "inner_folds": tune_inner_folds, "splits": tune_splits, "seeds": tune_seeds}
        protocol = {"inner_folds": inner_folds, "ensemble": ensemble, "fold_scheme": folds}
        chosen = chosen_suite(suite, selection, **protocol, train_fractions=options.fractions(train_fraction))
        chosen = with_tuning(chosen, trials=tune, minutes=tune_minutes, **search)
        if storage is not None and chosen.tuning is None:
            raise ConfigError(
                "--storage names a database of studies, but nothing is tuned: add --tune TRIALS or --tune-minutes "
                "MINUTES, or leave --storage out"
            )
        chosen, where = options.engine_of(chosen, engine, address, cpus_per_run, gpus_per_run)
        sources = options.data_sources(data_dir, data, limit, offline, (*chosen.tasks, *selection.tasks))
        how = _Execution(device, threads, where.workers(workers), where, storage, keep_models)
        _run(chosen, selection, sources, results or Path(chosen.results), how, folds_out)


def chosen_suite(name: str | None, selection: Selection, **protocol: Any) -> Suite:
    """The suite that a command names, or the first one with the selected tasks, with its protocol changed.

    Args:
        name: ``--suite``; with neither a suite nor tasks, the demo suite.
        selection: the selection.
        **protocol: fields of `crystalbench.runs.suite.ProtocolEntry`; None keeps the suite's value.
    """
    from crystalbench.runs.suite import load_suite, suite_of_tasks

    suite = (
        suite_of_tasks(selection.tasks)
        if name is None and selection.tasks
        else load_suite("demo" if name is None else name)
    )
    changes = {key: value for key, value in protocol.items() if value is not None}
    models = suite.models
    if "ensemble" in changes:  # for all models, those with an ensemble of their own included
        models = tuple(m if isinstance(m, str) else m.model_copy(update={"ensemble": None}) for m in models)
    return suite.model_copy(update={"protocol": suite.protocol.model_copy(update=changes), "models": models})


@dataclass(frozen=True)
class _Execution:
    """How runs are computed.

    Attributes:
        device: torch device.
        threads: threads of a run.
        workers: number of workers that the user requested.
        engine: where runs are computed.
        storage: database of studies.
        keep_models: whether fitted models are saved.
    """

    device: str
    threads: int
    workers: int | None
    engine: Engine
    storage: str | None
    keep_models: bool

    def check(self) -> None:
        """Find mistakes before any run or trial.

        Raises:
            ConfigError: the device cannot be used, a number is out of bounds, or the database has another form.
        """
        options.check_machine("cpu" if self.engine.is_cluster else self.device, self.threads, self.workers)
        self.studies()

    def studies(self) -> Storage | None:
        """The database of studies that the user named."""
        from crystalbench.tuning import Storage

        return None if self.storage is None else Storage(self.storage)

    def runner(self, results: Path, missing: Sequence[Run], since: float) -> tuple[Runner, int]:
        """What computes the missing runs, and the number of processes of this machine that do so.

        Raises:
            CrystalBenchError: the database of studies cannot be used.
        """
        from crystalbench.results.loading import RECORDS
        from crystalbench.runs.fit_checkpoints import FitCheckpoints
        from crystalbench.runs.resources import Resources, number_of_workers, usable_cores
        from crystalbench.runs.runner import Runner
        from crystalbench.runs.tune import Tuner

        tuned = any(run.spec.tuning for run in missing)
        if (studies := self.studies()) and tuned:
            studies.check()
        processes = number_of_workers(len(missing), Resources(self.device, self.threads), self.workers, tuned=tuned)
        resources = Resources(self.device, self.threads, usable_cores() if processes == 1 else 1)
        runner = Runner(
            resources,
            Tuner.in_folder(results / "studies", studies, resources, since),
            results / "models" if self.keep_models else None,
            checkpoints=FitCheckpoints.of_records(results / RECORDS),
        )
        return runner, processes


def _run(
    suite: Suite, selection: Selection, sources: DataSources, results: Path, how: _Execution, folds_out: Path | None
) -> None:
    from crystalbench.runs.resources import let_threads_sleep

    since = time.time()
    if how.threads > 1:
        let_threads_sleep()  # before torch is imported
    from crystalbench.cli.report import show_leaderboards
    from crystalbench.results.loading import RECORDS
    from crystalbench.results.store import RecordStore
    from crystalbench.runs.executors import executor_for
    from crystalbench.runs.locks import RunLocks

    how.check()
    plan = _plan(suite, selection, sources)
    if folds_out is not None:
        _write_folds(plan.tasks, folds_out)
    store = RecordStore(results / RECORDS)
    missing = [run for run in plan.runs if store.path_of(run.spec) is None]
    _announce(suite, plan, len(missing))
    if how.keep_models:
        _note_unkept(plan, store, results)
    if missing:
        RunLocks(store.root).check_writable()
    runner, processes = how.runner(results, missing, since)
    executor = partial(executor_for, runner, processes, how.engine if missing else None, how.workers)
    outcome = _computed(plan, store, executor, since)
    shown = show_leaderboards(results, {task.digest for task in plan.tasks})
    if shown.problems:
        raise typer.Exit(1)
    _show_failures(outcome, store.root)


def _plan(suite: Suite, selection: Selection, sources: DataSources) -> Plan:
    """The runs of a suite; downloads and reading are shown, and what was left out is noted."""
    from crystalbench.cli.progress import Reading
    from crystalbench.runs.plan import make_plan
    from crystalbench.tasks.download import rich_progress

    limit = sources.limit or suite.limit
    with rich_progress() as downloads, Reading(screen) as reading:
        plan = make_plan(suite, selection, replace(sources, limit=limit, progress=downloads), reading)
    for line in plan.notes:
        note(line)
    return plan


def _announce(suite: Suite, plan: Plan, missing: int) -> None:
    for task in plan.tasks:
        if task.is_partial:
            note(f"{task.name}: {len(task):,} of {task.rows_total:,} rows")
    runs = len(plan.runs)
    say(f"suite {suite.name}: {runs} run{'s' * (runs != 1)}, {runs - missing} of them done")


def _note_unkept(plan: Plan, store: RecordStore, results: Path) -> None:
    from crystalbench.runs.kept_models import without_models

    if unkept := without_models((run.spec for run in plan.runs), store, results / "models"):
        note(f"the models of {len(unkept)} runs were not kept; delete their records in {store.root} to fit them again")


def _computed(plan: Plan, store: RecordStore, executor: Callable[[], Executor], since: float) -> Outcome:
    """Compute the missing runs of a plan, with live progress; the command ends if it is interrupted."""
    from crystalbench.cli.progress import LiveProgress
    from crystalbench.runs.scheduler import run_plan

    live = LiveProgress(screen, len(plan.runs))
    try:
        with live, executor() as entered:
            return run_plan(plan, store, entered, live, since)
    except KeyboardInterrupt:
        say(f"stopped after {live.done} of {len(plan.runs)} runs; repeat the command to continue", style="yellow")
        raise typer.Exit(INTERRUPTED) from None


def _write_folds(tasks: Sequence[Task], file: Path) -> None:
    from crystalbench.tasks.schemes import write_folds

    if len(tasks) != 1 or file.suffix != ".json":
        raise ConfigError(
            f"--folds-out {file}: it writes the folds of one task to a .json file; name one task with --task"
        )
    write_folds(tasks[0], file)
    say(f"folds of {tasks[0].name}: {file}")


def _show_failures(outcome: Outcome, root: Path) -> None:
    if not outcome.failures:
        return
    for run, reason in outcome.failures:
        complain("failed", f"{run.title}: {reason}")
    errors.print(f"tracebacks are in {escape(str(root / '.failures'))}", highlight=False)
    raise typer.Exit(1)
