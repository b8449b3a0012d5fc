"""Running a probe: its runs are computed, their models asked, and tables made of everything in the folder."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from crystalbench._files import write_text
from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError, CrystalBenchError, DataError, SavingError
from crystalbench.models import load_model
from crystalbench.models.model import Model, Progress, silent
from crystalbench.probes.fitted import Fitted
from crystalbench.probes.probe import Probe
from crystalbench.probes.registry import get_probe, probe_names
from crystalbench.reports.csv import read_frame
from crystalbench.reports.sections import Section
from crystalbench.results.answers import AnswerStore
from crystalbench.results.loading import PROBES, RECORDS, read_with_probes
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.execute import Computed
from crystalbench.runs.executors import executor_for
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.kept_models import folder_of_models
from crystalbench.runs.locks import RunLocks
from crystalbench.runs.observer import Observer
from crystalbench.runs.plan import Plan, Run
from crystalbench.runs.resources import Resources, number_of_workers, usable_cores
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import Outcome, run_plan
from crystalbench.runs.tune import Tuner
from crystalbench.tasks.suffixes import is_made_of_another

log = logging.getLogger(__name__)


@dataclass
class Probed:
    """The outcome of a probe.

    Attributes:
        tables: the tables of everything in the folder, by name.
        files: the CSV files that were written.
        computed: number of runs computed just now.
        failures: failed runs with their reasons.
    """

    tables: dict[str, pd.DataFrame]
    files: list[Path]
    computed: int = 0
    failures: list[tuple[Run, str]] = field(default_factory=list)


def run_probe(
    name: str,
    plan: Plan,
    results: Path,
    *,
    resources: Resources | None = None,
    workers: int | None = None,
    observer: Observer | None = None,
) -> Probed:
    """Compute what is missing of a probe, and write its tables.

    Runs with the full crystals are ordinary runs of the folder of results, which a leaderboard has as well. Those under
    other views, of controls, and of descriptors as targets are kept in its folder ``probes``, unless ``crystalbench
    run`` has made them before.

    Args:
        name: name or place of the probe.
        plan: its plan, as of `Probe.plan`.
        results: folder of results.
        resources: device and threads of each run.
        workers: number of processes; by default as many as usable cores, but no more than runs.
        observer: notified of the events of runs.

    Raises:
        RecordError: a record or an answer cannot be written.
        ConfigError: the probe does not take the targets of a task, or does not make the tables that it declares.
    """
    probe, since, resources = get_probe(name), time.time(), resources or Resources()
    check_kinds(probe, plan)
    stores = _Stores.below(results)
    answers = AnswerStore.of(results, probe.name, probe.version) if probe.asks else None
    missing = [run for run in plan.runs if stores.record_path(run) is None or _unanswered(run, probe, answers)]
    if missing:
        RunLocks(stores.ranked.root).check_writable()
    tuned = any(run.spec.tuning for run in missing)
    workers = number_of_workers(len(missing), resources, workers, tuned=tuned)
    resources = replace(resources, processes=usable_cores() if workers == 1 else 1)
    runner = AskingRunner(
        resources,
        Tuner.in_folder(results / "studies", None, resources, since),
        checkpoints=FitCheckpoints.of_records(stores.ranked.root),
        probe=name,
        stores=stores,
        answers=answers,
        models=results / "models",
    )
    outcome = Outcome()
    with executor_for(runner, workers) as executor:
        to_ask = [run for run in plan.runs if stores.record_path(run) is not None and _unanswered(run, probe, answers)]
        for store, runs in stores.divided([run for run in plan.runs if run not in to_ask]):
            _add(outcome, run_plan(Plan(runs, plan.tasks, []), store, executor, observer, since))
        failed = {run.spec.key for run, _ in outcome.failures}
        to_ask = [run for run in plan.runs if _unanswered(run, probe, answers) and run.spec.key not in failed]
        # The records of these runs exist, so that nothing but the answers is kept.
        outcome.failures += run_plan(Plan(to_ask, plan.tasks, []), None, executor, observer, since).failures
    _describe(probe, plan, AnswerStore.of(results, probe.name, probe.version))
    tables = tables_of(probe, results)
    return Probed(tables, write_tables(tables, results), outcome.computed, outcome.failures)


def tables_of(probe: Probe, results: Path) -> dict[str, pd.DataFrame]:
    """The tables of a probe, made from everything in a folder of results.

    Raises:
        ConfigError: the probe makes other tables than it declares.
    """
    found = read_with_probes(results)
    for problem in found.problems:
        log.warning("not counted: %s", problem)
    kept = AnswerStore.of(results, probe.name, probe.version)
    answers = kept.read_all() if probe.asks or probe.describes else pd.DataFrame()
    tables = probe.evaluate(found, answers)
    declared = {name: list(columns) for name, columns in probe.tables.items()}
    if (made := {name: list(map(str, table)) for name, table in tables.items()}) != declared:
        raise ConfigError(f"probe {probe.name}: evaluate makes the tables {made}, and it declares {declared}")
    return tables


def write_tables(tables: dict[str, pd.DataFrame], results: Path) -> list[Path]:
    """Write tables as CSV files, with six significant digits.

    Raises:
        CrystalBenchError: a file cannot be written.
    """
    files = []
    for name, table in tables.items():
        path = results / f"{name}.csv"
        try:
            write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        except OSError as error:
            raise CrystalBenchError(f"{path}: cannot be written ({error.strerror or error})") from error
        files.append(path)
    return files


def written_sections(results: Path, names: Iterable[str]) -> dict[str, list[Section]]:
    """What probes report of the tables that they have written into a folder, by the description of the probe.

    Tables of suites with a folder of their own in this one, such as ``results/readout``, are reported as well. Probes
    come by `Probe.position`, those with the same one in the order of their names here.

    Args:
        results: folder of results.
        names: names or places of probes. Those with empty tables are left out, and those without tables in the folder
            if they are registered.

    Raises:
        ConfigError: a probe that is not registered has no tables in the folder.
        DataError: a table cannot be read, or lacks a column of the probe.
    """
    found: dict[str, list[Section]] = {}
    probes = {name: get_probe(name) for name in names}
    for name, probe in sorted(probes.items(), key=lambda named: named[1].position):
        places = [results, *sorted(path for path in results.glob("*") if path.is_dir())]
        written = [place for place in places if all((place / f"{table}.csv").is_file() for table in probe.tables)]
        if not written and name not in probe_names():
            raise ConfigError(f"{results}: has no tables of the probe {name}; run crystalbench probe {name} first")
        sections = [section for place in written for section in _sections(probe, name, place)]
        if sections:
            found[probe.description] = sections
    return found


def _sections(probe: Probe, name: str, folder: Path) -> list[Section]:
    """What a probe reports of its tables in a folder; nothing of empty ones.

    Raises:
        DataError: a table cannot be read, or lacks a column of the probe.
    """
    tables = {}
    for table, columns in probe.tables.items():
        path = folder / f"{table}.csv"
        frame = read_frame(path)
        if lacking := [column for column in columns if column not in frame]:
            raise DataError(
                f"{path}: has no column {lacking[0]}, as another version of the probe wrote it; "
                f"run crystalbench probe {name} again"
            )
        tables[table] = frame.assign(**frame.select_dtypes("object").fillna(""))  # a CSV file has no empty texts
    return probe.report(tables) if any(len(table) for table in tables.values()) else []


@dataclass(frozen=True)
class _Stores:
    """Where the records of a probe's runs are.

    Attributes:
        ranked: records of runs that leaderboards have as well.
        others: records of all other runs.
    """

    ranked: RecordStore
    others: RecordStore

    @classmethod
    def below(cls, results: Path) -> _Stores:
        return cls(RecordStore(results / RECORDS), RecordStore(results / PROBES / RECORDS))

    def record_path(self, run: Run) -> Path | None:
        return self.ranked.path_of(run.spec) or self.others.path_of(run.spec)

    def record(self, run: Run) -> Record | None:
        return self.ranked.find(run.spec) or self.others.find(run.spec)

    def divided(self, runs: Sequence[Run]) -> list[tuple[RecordStore, list[Run]]]:
        """The runs by the store that has, or will have, their records."""
        parts: dict[bool, list[Run]] = {True: [], False: []}
        for run in runs:
            ranked = run.spec.view == FULL and not is_made_of_another(run.spec.task)
            parts[ranked or self.ranked.path_of(run.spec) is not None].append(run)
        return [
            (store, parts[ranked]) for store, ranked in ((self.ranked, True), (self.others, False)) if parts[ranked]
        ]


@dataclass
class AskingRunner(Runner):
    """Computes runs as `Runner` does, and asks their models right after the fit.

    A run whose record exists is asked with the models that were kept, or is fitted again: the same key means the same
    numbers.

    Attributes:
        probe: name or place of the probe, so that another process finds it.
        stores: the records.
        answers: where answers are kept; None if nothing is asked.
        models: folder in which ``crystalbench run --keep-models`` keeps models.
    """

    probe: str = ""
    stores: _Stores | None = None
    answers: AnswerStore | None = None
    models: Path | None = None

    def run(self, run: Run, progress: Progress = silent) -> Computed:
        """Compute a run and ask its models.

        If a question fails after a new fit, the record is returned nevertheless, and the run can be asked again.

        Raises:
            RunFailedError: the run failed, or a question to models whose record exists.
        """
        if self.answers is None or self.stores is None or not get_probe(self.probe).asks_models_of(run):
            self.return_models = False
            return super().run(run, progress)
        if (record := self.stores.record(run)) is not None:
            members = self._kept(record, run) or self._fitted(run, progress).models
            self._ask(record, Fitted(run, members, self.resources.processes))
            return Computed(record)
        computed = self._fitted(run, progress)
        try:
            self._ask(computed.record, Fitted(run, computed.models, self.resources.processes))
        except RunFailedError as error:
            log.debug("%s: %s", run.title, error)
        return replace(computed, models=())

    def _fitted(self, run: Run, progress: Progress) -> Computed:
        self.return_models = True
        return super().run(run, progress)

    def _kept(self, record: Record, run: Run) -> tuple[Model, ...]:
        """The kept models of a run; empty if there are none, or others than this version of the class reads."""
        if self.models is None:
            return ()
        folder = folder_of_models(self.models, record)
        places = [folder / f"member-{number}" for number in range(run.spec.protocol.ensemble)]
        if not all(place.is_dir() for place in places):
            return ()
        device, threads = self.resources.device, self.resources.threads
        try:
            return tuple(load_model(place, device=device, threads=threads, model=run.model) for place in places)
        except SavingError as error:
            log.warning("%s; the model is fitted again", error)
            return ()

    def _ask(self, record: Record, fitted: Fitted) -> None:
        assert self.answers is not None
        try:
            found = get_probe(self.probe).ask(fitted)
            if not isinstance(found, pd.DataFrame) or not len(found):
                raise ConfigError(f"probe {self.probe}: ask must return a data frame with at least one row")
            self.answers.write(record, found)
        except Exception as error:
            reason = str(error) if isinstance(error, CrystalBenchError) else f"{type(error).__name__}: {error}"
            raise RunFailedError(reason, traceback.format_exc()) from error


def check_kinds(probe: Probe, plan: Plan) -> None:
    """Check that a probe evaluates the kinds of target of all tasks of a plan.

    Raises:
        ConfigError: it does not take that of a task.
    """
    for task in plan.tasks:
        if (kind := task.target.kind) not in probe.kinds:
            taken = " or ".join(sorted(str(kind) for kind in probe.kinds))
            raise ConfigError(
                f"probe {probe.name}: {task.name} is a task of {kind}, and it takes those of {taken}; "
                "choose other tasks with --task"
            )


def _describe(probe: Probe, plan: Plan, answers: AnswerStore) -> None:
    """Keep the facts of the rows of all planned tasks, where they are not yet kept."""
    if not probe.describes:
        return
    for task in plan.tasks:
        if answers.path_of_task(task.name, task.digest) is None:
            answers.write_task(task.name, task.digest, probe.describe(task))


def _unanswered(run: Run, probe: Probe, answers: AnswerStore | None) -> bool:
    return answers is not None and probe.asks_models_of(run) and answers.path_of(run.spec) is None


def _add(outcome: Outcome, more: Outcome) -> None:
    outcome.records += more.records
    outcome.computed += more.computed
    outcome.failures += more.failures
