"""Fold schemes: folds other than the official ones, for questions that random folds do not ask.

`get_folds` finds a scheme by its name, or reads a file of folds; its ``apply`` gives a task with these folds::

    task = get_folds("element:O").apply(load_task("demo_formation_energy"))
"""

from __future__ import annotations

from crystalbench.tasks.schemes.file import FoldsFile, folds_file, read_folds, write_folds
from crystalbench.tasks.schemes.registry import GROUP, fold_schemes, get_fold_scheme, get_folds
from crystalbench.tasks.schemes.scheme import FoldScheme, FoldSource

__all__ = [
    "GROUP",
    "FoldScheme",
    "FoldSource",
    "FoldsFile",
    "fold_schemes",
    "folds_file",
    "get_fold_scheme",
    "get_folds",
    "read_folds",
    "write_folds",
]
