"""Tuning: the search for hyperparameters inside the training part of one fold."""

from __future__ import annotations

from crystalbench.tuning.objective import Objective
from crystalbench.tuning.search import Search
from crystalbench.tuning.space import default_in, digest_of, space_of
from crystalbench.tuning.storage import Storage

__all__ = ["Objective", "Search", "Storage", "default_in", "digest_of", "space_of"]
