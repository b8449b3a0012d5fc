"""Targets of tasks: their kinds, and the facts about each metric. Imports nothing but errors.

`crystalbench.evaluation.metrics` computes the metrics that are declared here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crystalbench.errors import UnknownNameError

OFFICIAL = "official"
"""Name of a task's own folds, in records and frames."""


class Kind(StrEnum):
    """Kind of a target."""

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"


KINDS = tuple(str(kind) for kind in Kind)
"""Names of the kinds."""


@dataclass(frozen=True)
class Target:
    """The property that a task predicts.

    Attributes:
        name: name of the property.
        kind: regression, binary or multiclass.
        unit: unit of a regression target, as written in tables; empty if there is none.
        classes: class labels by class number, e.g. ``("false", "true")``; empty for regression.
    """

    name: str
    kind: Kind
    unit: str = ""
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Number of outputs of a network: one per class for multiclass targets, one for all others."""
        return len(self.classes) if self.kind is Kind.MULTICLASS else 1


@dataclass(frozen=True)
class Metric:
    """Facts about a metric.

    Attributes:
        name: name in records and on the command line.
        label: name in tables and figures.
        higher_is_better: whether a higher score is better.
        kinds: kinds of target that it applies to.
        has_unit: whether scores have the unit of the target.
        undefined_for: targets of the rows for which it is undefined, e.g. ``one class``; empty if it always is defined.
    """

    name: str
    label: str
    higher_is_better: bool
    kinds: tuple[Kind, ...]
    has_unit: bool = False
    undefined_for: str = ""


_REGRESSION, _BINARY, _CLASSES = (Kind.REGRESSION,), (Kind.BINARY,), (Kind.BINARY, Kind.MULTICLASS)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", "MAE", False, _REGRESSION, has_unit=True),
        Metric("rmse", "RMSE", False, _REGRESSION, has_unit=True),
        Metric("r2", "R²", True, _REGRESSION, undefined_for="equal targets"),
        Metric("max_error", "max. error", False, _REGRESSION, has_unit=True),
        Metric("accuracy", "accuracy", True, _CLASSES),
        Metric("balanced_accuracy", "balanced accuracy", True, _CLASSES),
        Metric("f1", "F1", True, _CLASSES),
        Metric("rocauc", "ROC-AUC (Matbench, of labels)", True, _BINARY, undefined_for="one class"),
        Metric("rocauc_true", "ROC-AUC", True, _CLASSES, undefined_for="one class"),
        Metric("log_loss", "log loss", False, _CLASSES),
    )
}
"""All metrics by name, in the order of the tables."""

_MAIN = {Kind.REGRESSION: "mae", Kind.BINARY: "rocauc_true", Kind.MULTICLASS: "balanced_accuracy"}


def get_metric(name: str) -> Metric:
    """Look up a metric by its name.

    Raises:
        UnknownNameError: there is no such metric.
    """
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownNameError("metric", name, METRICS) from None


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """The metrics that apply to a kind of target, in the order of the tables.

    Raises:
        UnknownNameError: there is no such kind.
    """
    check_kind(kind)
    return tuple(metric for metric in METRICS.values() if kind in metric.kinds)


def main_metric(kind: str) -> Metric:
    """The default main metric of tasks with a kind of target.

    The official classification tasks use Matbench's ``rocauc`` instead.

    Raises:
        UnknownNameError: there is no such kind.
    """
    check_kind(kind)
    return METRICS[_MAIN[Kind(kind)]]


def check_kind(kind: str) -> None:
    """Check the name of a kind of target.

    Raises:
        UnknownNameError: there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of task", kind, KINDS)
