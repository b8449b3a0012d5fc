"""Runner: computes runs in the process it lives in, and shares representations between them."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crystalbench.errors import CrystalBenchError
from crystalbench.models.model import Progress, silent
from crystalbench.results.record import TuningResult
from crystalbench.runs.environment import environment
from crystalbench.runs.execute import Computed, compute
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.kept_models import save_models
from crystalbench.runs.plan import Run
from crystalbench.runs.resources import Resources
from crystalbench.runs.tune import Tuner, objective_of
from crystalbench.runs.visible import VisibleTask
from crystalbench.tuning import Objective

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a trial.

    Attributes:
        score: the metric on the selection rows.
        seconds: time it took, without computing representations.
        environment: versions and processor of the process.
    """

    score: float
    seconds: float
    environment: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Tuned:
    """The run whose trials were evaluated last, and its objective."""

    key: str
    shown: VisibleTask
    objective: Objective


def reason_of(error: BaseException) -> str:
    """Why a run failed, for the user."""
    return str(error) if isinstance(error, CrystalBenchError) else f"{type(error).__name__}: {error}"


@dataclass
class Runner:
    """Computes runs, one at a time. It can be sent to another process, without the representations it holds.

    Attributes:
        resources: device, threads and processes of each run.
        tuner: tunes the runs with tuning; may be None if there are none.
        keep_models: folder in which fitted models are saved; None if they are not saved.
        return_models: whether fitted models are returned with the record.
        checkpoints: where long fits are saved from time to time; None if they are not.
    """

    resources: Resources = field(default_factory=Resources)
    tuner: Tuner | None = None
    keep_models: Path | None = None
    return_models: bool = False
    checkpoints: FitCheckpoints | None = None
    _visible: dict[tuple[str, str, str], VisibleTask] = field(default_factory=dict, init=False, repr=False)
    _last: _Tuned | None = field(default=None, init=False, repr=False)

    def run(self, run: Run, progress: Progress = silent) -> Computed:
        """Compute a run; its hyperparameters are tuned first if it includes tuning.

        Raises:
            RunFailedError: the run failed, for whatever reason.
        """
        return self._run(run, progress, None)

    def run_tuned(self, run: Run, tuned: TuningResult | None, progress: Progress = silent) -> Computed:
        """Compute a run that another process has tuned, or one without tuning.

        Raises:
            RunFailedError: the run failed, for whatever reason.
        """
        return self._run(run, progress, tuned)

    def _run(self, run: Run, progress: Progress, tuned: TuningResult | None) -> Computed:
        try:
            shown = self._visible_to(run)
            progress = shown.follow(progress)
            if tuned is None and run.spec.tuning:
                tuned = self._tuner.tune(run, shown, progress)
            computed = compute(
                run.spec,
                run.label,
                run.model,
                run.task,
                self.resources,
                progress,
                shown,
                tuned,
                run.names,
                self.checkpoints,
            )
            if self.keep_models is not None:
                save_models(computed.record, computed.models, self.keep_models)
        except (Exception, SystemExit) as error:
            log.debug("%s failed", run.title, exc_info=True)
            raise RunFailedError(reason_of(error), traceback.format_exc()) from error
        return computed if self.return_models else replace(computed, models=())

    def help(self, run: Run) -> int:
        """Take part in the tuning of a run that another process computes; returns the number of trials done."""
        if run.spec.tuning is None:
            return 0
        try:
            shown = self._visible_to(run)
            shown.follow(silent)
            return self._tuner.help(run, shown)
        except CrystalBenchError as error:  # reported by the process that computes the run
            log.debug("%s: could not help with tuning: %s", run.title, error)
            return 0

    def evaluate(self, run: Run, parameters: Mapping[str, Any], split: int, seed: int) -> Evaluation:
        """Make one evaluation of a trial, for a study that another process conducts.

        Args:
            run: the run that is tuned.
            parameters: the tuned hyperparameters of the trial.
            split: number of the inner split.
            seed: number of the repetition.

        Raises:
            RunFailedError: the evaluation failed, for whatever reason.
        """
        try:
            shown = self._visible_to(run)
            shown.follow(silent)
            if self._last is None or self._last.key != run.spec.key or self._last.shown is not shown:
                self._last = _Tuned(run.spec.key, shown, objective_of(run, shown, self.resources))
            waited, begun = shown.waited, time.perf_counter()
            score = self._last.objective.evaluate(parameters, split, seed)
            seconds = time.perf_counter() - begun - (shown.waited - waited)
        except (Exception, SystemExit) as error:
            raise RunFailedError(reason_of(error), traceback.format_exc()) from error
        return Evaluation(score, seconds, environment(self.resources.device))

    def __getstate__(self) -> dict[str, object]:
        """The settings, without representations."""
        return {**self.__dict__, "_visible": {}, "_last": None}

    @property
    def _tuner(self) -> Tuner:
        if self.tuner is None:
            raise ValueError("a run with tuning needs a tuner")
        return self.tuner

    def _visible_to(self, run: Run) -> VisibleTask:
        key = (run.spec.data, f"{run.view.name}:{run.view.version}", str(run.model.needs))
        if key not in self._visible:
            # Runs come task by task: keep the representations of one task in memory, not of all.
            self._visible = {k: v for k, v in self._visible.items() if k[0] == run.spec.data}
            self._visible[key] = VisibleTask.of(run.task, run.view, run.model.needs, self.resources.processes)
        return self._visible[key]
