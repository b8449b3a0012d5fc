"""Members of an ensemble: models with the same hyperparameters, each with a seed and an inner split of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crystalbench.data.samples import Predictions
from crystalbench.models.model import Model, Progress, Runtime, silent
from crystalbench.results.spec import RunSpec
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.resources import Resources
from crystalbench.targets import Kind


def new_member(
    model: type[Model],
    parameters: Mapping[str, Any],
    spec: RunSpec,
    number: int,
    members: int,
    resources: Resources,
    progress: Progress,
    checkpoints: FitCheckpoints | None,
) -> Model:
    """A member of an ensemble, ready for its fit.

    Args:
        model: the model class.
        parameters: all hyperparameters, the tuned ones included.
        spec: specification of the run, from which the seed follows.
        number: of the member.
        members: how many there are.
        resources: device and threads.
        progress: of the ensemble.
        checkpoints: where the fit is saved from time to time.
    """
    member = model.from_configuration(parameters)
    member.runtime = Runtime(
        seed=spec.derived_seed("member", number),
        device=resources.device,
        threads=resources.threads,
        progress=member_progress(progress, number, members),
    )
    if checkpoints is not None:
        member.runtime.checkpoint = checkpoints.of(spec, number, member)
    return member


def release(member: Model) -> None:
    """Take from a fitted member what was for its fit only, so that it can be kept and saved."""
    member.runtime.progress, member.runtime.checkpoint = silent, None


def member_progress(progress: Progress, number: int, members: int) -> Progress:
    """A callback for one member of an ensemble: it counts the steps of all members, which are fitted in turn."""
    if members == 1:
        return progress

    def report(done: int, total: int, **details: Any) -> None:
        progress(number * total + done, members * total, member=number, members=members, **details)

    return report


def combine(members: Sequence[Predictions], kind: Kind) -> Predictions:
    """The mean of the members' predictions and, for regression, their uncertainty.

    The variance is the variance of the members' means plus the mean of the members' own variances, if all of them give
    one (the law of total variance).
    """
    if len(members) == 1:
        return members[0]
    values = np.stack([m.values for m in members])
    if kind is not Kind.REGRESSION:
        return Predictions(values.mean(0))
    own = [m.std**2 for m in members if m.std is not None]
    variance = values.var(0) + (np.mean(own, axis=0) if len(own) == len(members) else 0.0)
    return Predictions(values.mean(0), np.sqrt(variance))
