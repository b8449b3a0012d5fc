"""Contract checks for your own models, representations, views, tasks and fold schemes.

Results are comparable only if every model keeps the same contract. The checks need neither a test runner nor, for
models without networks, torch::

    from crystalbench.testing import check_model

    print(check_model("my_model.py:MyModel"))

A failed check raises a `ContractError` with one line per failed check, so the call is itself a test.
"""

from __future__ import annotations

from crystalbench.testing.folds import check_fold_scheme
from crystalbench.testing.models import check_model
from crystalbench.testing.report import ContractError, Failure, Report
from crystalbench.testing.representations import check_representation
from crystalbench.testing.tasks import check_task
from crystalbench.testing.views import check_view

__all__ = [
    "ContractError",
    "Failure",
    "Report",
    "check_fold_scheme",
    "check_model",
    "check_representation",
    "check_task",
    "check_view",
]
