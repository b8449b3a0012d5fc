"""Models: the interface, the registry, saving and loading, and one file for each family."""

from __future__ import annotations

from crystalbench.models.model import Invariance, Model, Needs, Runtime, search_space
from crystalbench.models.registry import GROUP, get_model, model_names
from crystalbench.models.saving import load_model, save_model

__all__ = [
    "GROUP",
    "Invariance",
    "Model",
    "Needs",
    "Runtime",
    "get_model",
    "load_model",
    "model_names",
    "save_model",
    "search_space",
]
