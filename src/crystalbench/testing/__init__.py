"""Contracts that models and representations keep, to be run on your own."""

from __future__ import annotations

from crystalbench.testing.models import check_model
from crystalbench.testing.report import ContractError, Report
from crystalbench.testing.representations import check_representation

__all__ = ["ContractError", "Report", "check_model", "check_representation"]
