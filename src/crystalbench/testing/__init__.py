"""Contract checks for your own models, representations, potentials, views, tasks, fold schemes and probes.

Results are comparable only if every model keeps the same contract. The checks need neither a test runner nor, for
models without networks, torch::

    from crystalbench.testing import check_model

    print(check_model("my_model.py:MyModel"))

A failed check raises a `ContractError` with one line per failed check, so the call is itself a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crystalbench.testing.folds import check_fold_scheme
from crystalbench.testing.models import check_model
from crystalbench.testing.potentials import check_potential
from crystalbench.testing.report import ContractError, Failure, Report
from crystalbench.testing.representations import check_representation
from crystalbench.testing.tasks import check_task
from crystalbench.testing.views import check_view

if TYPE_CHECKING:
    from crystalbench.testing.probes import check_probe

__all__ = [
    "ContractError",
    "Failure",
    "Report",
    "check_fold_scheme",
    "check_model",
    "check_potential",
    "check_probe",
    "check_representation",
    "check_task",
    "check_view",
]


def __getattr__(name: str) -> Any:
    """Import `check_probe` when it is first used: it needs everything that runs need, which is slow to import."""
    if name != "check_probe":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from crystalbench.testing.probes import check_probe

    return check_probe
