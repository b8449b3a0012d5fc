"""Adaptors: base classes that make models of networks written for other libraries."""

from __future__ import annotations

from crystalbench.models.adaptors.pyg import PyGModel

__all__ = ["PyGModel"]
