"""Specifications of runs: everything that determines a result, before anything is computed."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from crystalbench.results.sealed import Frozen, digest
from crystalbench.results.seeds import derived_seed
from crystalbench.targets import OFFICIAL

TOO_FEW_EVALUATIONS = "splits = 1 and seeds = 1: a gain has no standard error with a single evaluation; give more"


class FoldSchemeSpec(Frozen):
    """The scheme that made the folds of a task, if they are not its official ones.

    Attributes:
        name: name of the scheme.
        parameters: its parameters, defaults included.
        version: version of the scheme.
    """

    name: str = Field(pattern=r"^\S(.*\S)?$")
    parameters: dict[str, Any] = Field(default_factory=dict)
    version: int = 1

    @property
    def text(self) -> str:
        """Name and parameters as ``--folds`` reads them, e.g. ``element:O`` or ``formula:k=5,seed=0``."""
        values = [f"{name}={value}" for name, value in self.parameters.items()]
        if len(values) == 1:
            values = [str(*self.parameters.values())]
        return ":".join([self.name, *filter(None, [",".join(values)])])


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
        splits: number of inner folds that score a configuration.
        seeds: number of seeds with which it is fitted for each of these inner folds; its score is the mean over all.
        space: SHA-256 of the search space.
        metric: metric that scores a trial; empty for the main metric of the target's kind.
        sampler: algorithm that proposes configurations.
        pruner: algorithm that stops poor trials early.
        version: raised when the same study would propose other trials or choose another of them. Version 1 had one
            seed, another one for each trial.
    """

    trials: int | None = None
    minutes: float | None = None
    scheme: Literal["per_fold", "first_fold"] = "per_fold"
    inner_folds: int = 5
    splits: int = 3
    seeds: int = 2
    space: str = ""
    metric: str = ""
    sampler: str = "tpe"
    pruner: str = "halving"
    version: int = 2

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, content: Any) -> Any:
        return {"seeds": 1, **content} if isinstance(content, dict) and content.get("version") == 1 else content

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.trials is None) == (self.minutes is None):
            raise ValueError("tuning needs a budget of either trials or minutes: exactly one of both")
        if self.version > 1 and len(self.evaluations) < 2:
            raise ValueError(TOO_FEW_EVALUATIONS)
        return self

    @model_serializer(mode="wrap")
    def _without_new_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Specifications written before these fields existed keep their keys.
        new = {"metric": not self.metric, "seeds": self.version == 1}
        content: dict[str, Any] = handler(self)
        return {name: value for name, value in content.items() if not new.get(name)}

    @property
    def evaluations(self) -> list[tuple[int, int]]:
        """The evaluations of every trial, in order: pairs of inner split and seed."""
        return [(split, seed) for seed in range(self.seeds) for split in range(self.splits)]

    @property
    def budget(self) -> str:
        """The budget as text, e.g. ``20 trials``."""
        return f"{self.trials} trials" if self.trials is not None else f"{self.minutes:g} minutes"


_LEFT_OUT = frozenset({"fold_scheme", "train_fraction"})
"""Fields of `RunSpec` that are left out of keys and records where they are None."""


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
        fold_scheme: the scheme that made the folds; None for the official folds of the task. ``data`` depends on the
            folds, too, so runs with other folds never share a key.
        train_fraction: share of the training part that the model may learn from; None for all of it.
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
    fold_scheme: FoldSchemeSpec | None = None
    train_fraction: float | None = Field(default=None, gt=0, lt=1)

    @model_serializer(mode="wrap")
    def _without_usual_values(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Specifications without these fields keep the keys that they had before the fields existed.
        content: dict[str, Any] = handler(self)
        return {name: value for name, value in content.items() if value is not None or name not in _LEFT_OUT}

    @property
    def folds_text(self) -> str:
        """The folds as ``--folds`` reads them: ``official``, or name and parameters of the scheme."""
        return OFFICIAL if self.fold_scheme is None else self.fold_scheme.text

    @property
    def key(self) -> str:
        """SHA-256 of the specification."""
        return digest(self.model_dump(mode="json"))

    def derived_seed(self, *purpose: int | str) -> int:
        """A seed in [0, 2^31) derived from the key and a purpose, e.g. the number of an ensemble member."""
        return derived_seed(self.key, *purpose)
