"""Specifications: what determines the result of a run, before anything is computed."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from crystalbench.results.sealed import Frozen, digest
from crystalbench.results.seeds import derived_seed


class ProtocolSpec(Frozen):
    """How the training part of a fold is used; the same for every model.

    Attributes:
        inner_folds: number of inner folds of the training part; one of them validates.
        ensemble: number of members, each validated on another inner fold; the prediction is their mean.
    """

    inner_folds: int = 10
    ensemble: int = 1


class TuningSpec(Frozen):
    """How hyperparameters are searched for; the same for every model.

    Attributes:
        trials: number of configurations to try.
        minutes: or a budget of time for all trials together; none starts later.
        scheme: ``per_fold`` tunes in the training part of each fold; ``first_fold`` in that of the first one, for all.
        inner_folds: number of inner folds of the training part; some of them score a configuration.
        splits: number of inner folds that score, one after another; their mean counts.
        space: SHA-256 of the search space.
        metric: the metric that scores a trial; empty for the main one of the target's kind.
        sampler: what proposes configurations.
        pruner: what stops poor trials.
        version: raised when the same study would propose other trials.
    """

    trials: int | None = None
    minutes: float | None = None
    scheme: Literal["per_fold", "first_fold"] = "per_fold"
    inner_folds: int = 5
    splits: int = 1
    space: str = ""
    metric: str = ""
    sampler: str = "tpe"
    pruner: str = "median"
    version: int = 1

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.trials is None) == (self.minutes is None):
            raise ValueError("tuning has a budget of trials or of minutes: exactly one of both")
        return self

    @model_serializer(mode="wrap")
    def _without_the_usual_metric(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Keys from before there was this field stay as they are.
        content: dict[str, Any] = handler(self)
        return content if self.metric else {name: value for name, value in content.items() if name != "metric"}

    @property
    def budget(self) -> str:
        """The budget in words."""
        return f"{self.trials} trials" if self.trials is not None else f"{self.minutes:g} minutes"


class RunSpec(Frozen):
    """Specification of a run: everything that determines its result. Its hash is the key of the run.

    The same key means the same numbers up to round-off, which depends on the processor, the device and the number of
    threads. Code is represented by versions: golden predictions force a raised ``model_version`` when numbers change
    (see CONTRIBUTING.md).

    Attributes:
        task: name of the task.
        data: digest of the task's rows, targets and folds.
        fold: outer fold.
        model: registered name, or ``module:Class``.
        model_version: the model class's version.
        model_code: of a model that is not registered, the SHA-256 of its file, since its author changes it without
            raising the version.
        parameters: all hyperparameters, defaults included, as they were before tuning.
        view: what the model may see.
        view_version: the view's version.
        seed: number of the repetition.
        protocol: how the training part is used.
        tuning: how hyperparameters are looked for; None for defaults or given ones.
    """

    task: str
    data: str
    fold: int
    model: str
    model_version: int
    parameters: dict[str, Any]
    model_code: str | None = None
    view: str = "full"
    view_version: int = 1
    seed: int = 0
    protocol: ProtocolSpec = ProtocolSpec()
    tuning: TuningSpec | None = None

    @property
    def key(self) -> str:
        """Hash of what was asked."""
        return digest(self.model_dump(mode="json"))

    def derived_seed(self, *purpose: int | str) -> int:
        """A seed in [0, 2^31) that follows from the key and a purpose, e.g. the member of an ensemble."""
        return derived_seed(self.key, *purpose)
