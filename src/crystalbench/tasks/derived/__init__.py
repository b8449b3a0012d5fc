"""Tasks derived from other tasks: some of their rows, with other targets."""

from __future__ import annotations

from crystalbench.tasks.derived.labelling import Above, Labelled, Labelling, OutsideGap, SourceLabels
from crystalbench.tasks.derived.spec import DerivedTaskSpec, StratifiedFolds

__all__ = [
    "Above",
    "DerivedTaskSpec",
    "Labelled",
    "Labelling",
    "OutsideGap",
    "SourceLabels",
    "StratifiedFolds",
]
