"""Evaluating one claimed trial: heartbeat, pruning, failures and interruptions."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Sequence
from statistics import fmean

import optuna
from optuna.exceptions import StorageInternalError, TrialPruned, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from crystalbench.errors import CrystalBenchError
from crystalbench.tuning.objective import ObjectiveFunction
from crystalbench.tuning.sampler import NUMBER
from crystalbench.tuning.shared import SharedStudy
from crystalbench.tuning.worker import Heartbeat

log = logging.getLogger(__name__)


class _TakenOver(Exception):  # noqa: N818  (not an error)
    """Another worker has taken over the trial, because this one seemed to be dead."""


def evaluate(
    shared: SharedStudy, trial: optuna.Trial, objective: ObjectiveFunction, clock: Callable[[], float]
) -> Exception | None:
    """Evaluate a claimed trial and store the outcome.

    A trial whose objective raises an exception fails. If this process is interrupted, the trial is released.

    Args:
        shared: the study.
        trial: the claimed trial.
        objective: its objective function.
        clock: current time in seconds; the difference is stored as the time that the trial took.

    Returns:
        The exception that made the trial fail; None if it was completed, pruned or taken over.
    """
    number: int = trial.user_attrs[NUMBER]
    scores: list[float] = []
    failure, state = None, TrialState.COMPLETE
    begun = clock()
    try:
        with Heartbeat(shared.storage.database, trial._trial_id, shared.storage.heartbeat):
            for score in objective(number, trial.params):
                scores.append(score)
                _report(trial, scores)
    except TrialPruned:
        state = TrialState.PRUNED
    except _TakenOver:
        log.warning("%s: another worker has taken over trial %d", shared.name, number)
        return None
    except (StorageInternalError, SQLAlchemyError):
        raise
    except Exception as error:
        state, failure = TrialState.FAIL, error
        traceback.clear_frames(error.__traceback__)  # they would keep the data and the model in memory
    except BaseException:
        with contextlib.suppress(Exception):
            shared.release(trial)
        raise
    shared.finish(trial, state, scores, None if failure is None else _reason(failure), clock() - begun)
    return failure


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, CrystalBenchError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _report(trial: optuna.Trial, scores: Sequence[float]) -> None:
    """Report the mean of the evaluations so far.

    Raises:
        TrialPruned: it is worse than the means of other trials over the same evaluations.
        _TakenOver: the trial was finished by another worker.
    """
    try:
        trial.report(fmean(scores), len(scores))
    except UpdateFinishedTrialError as error:
        raise _TakenOver from error
    if trial.should_prune():
        raise TrialPruned
