"""Studies of hyperparameters as tables on screen and as pages."""

from __future__ import annotations

from crystalbench.reports.studies.optuna import importances, to_optuna
from crystalbench.reports.studies.pages import PAGES, figures, write_all, write_page
from crystalbench.reports.studies.reading import chosen, read_studies
from crystalbench.reports.studies.tables import best_table, heading

__all__ = [
    "PAGES",
    "best_table",
    "chosen",
    "figures",
    "heading",
    "importances",
    "read_studies",
    "to_optuna",
    "write_all",
    "write_page",
]
