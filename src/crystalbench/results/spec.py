"""Specifications of runs: everything that determines a result, before anything is computed."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from crystalbench.results.sealed import Frozen, digest
from crystalbench.results.seeds import derived_seed


class ProtocolSpec(Frozen):
    """How the training part of a fold is used; the same for every model.

    Attributes:
        inner_folds: number of inner folds of the training part, one of which validates.
        ensemble: number of members, each validated on a different inner fold; the prediction is their mean.
    """

    inner_folds: int = 10
    ensemble: int = 1


class TuningSpec(Frozen):
    """How hyperparameters are tuned; the same for every model.

    Attributes:
        trials: number of configurations to try.
        minutes: alternatively, a time budget for all trials together; no trial starts after it.
        scheme: ``per_fold`` tunes on the training part of each fold; ``first_fold`` on that of the first fold, for all.
        inner_folds: number of inner folds of the training part.
        splits: number of inner folds that score a configuration; its score is their mean.
        space: SHA-256 of the search space.
        metric: metric that scores a trial; empty for the main metric of the target's kind.
        sampler: algorithm that proposes configurations.
        pruner: algorithm that stops poor trials early.
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
            raise ValueError("tuning needs a budget of either trials or minutes: exactly one of both")
        return self

    @model_serializer(mode="wrap")
    def _without_default_metric(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Specifications written before this field existed keep their keys.
        content: dict[str, Any] = handler(self)
        return content if self.metric else {name: value for name, value in content.items() if name != "metric"}

    @property
    def budget(self) -> str:
        """The budget as text, e.g. ``20 trials``."""
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
        model_version: version of the model class.
        model_code: SHA-256 of the file of a model that is not registered, since its author may change it without
            raising the version; None for registered models.
        parameters: all hyperparameters before tuning, defaults included.
        view: name of the view, i.e. what the model may see.
        view_version: version of the view.
        seed: number of the repetition.
        protocol: how the training part is used.
        tuning: how hyperparameters are tuned; None without tuning.
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
    seed: int = Field(default=0, ge=0, lt=2**63)
    protocol: ProtocolSpec = ProtocolSpec()
    tuning: TuningSpec | None = None

    @property
    def key(self) -> str:
        """SHA-256 of the specification."""
        return digest(self.model_dump(mode="json"))

    def derived_seed(self, *purpose: int | str) -> int:
        """A seed in [0, 2^31) derived from the key and a purpose, e.g. the number of an ensemble member."""
        return derived_seed(self.key, *purpose)
