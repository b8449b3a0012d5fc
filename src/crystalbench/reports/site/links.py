"""Addresses of pages: every board and every model has a file name of its own, whatever it is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from crystalbench.evaluation.board import Board, Entry
from crystalbench.reports.formatting import short_digest

Identity: TypeAlias = tuple[str, str]
"""Source of a model and its name: its registered name, or the label of a published or imported entry."""


def identity(entry: Entry) -> Identity:
    """Which model an entry belongs to: entries that differ in hyperparameters, tuning or view share their model."""
    return entry.source, entry.model_name or entry.model


@dataclass(frozen=True)
class Links:
    """Addresses of the pages, relative to the folder of the site.

    Attributes:
        boards: address of each board by its position.
        models: address of each model.
    """

    boards: tuple[str, ...]
    models: dict[Identity, str]

    @classmethod
    def of(cls, boards: Sequence[Board]) -> Links:
        """Addresses for boards and all models on them."""
        models = sorted({identity(entry) for board in boards for entry in board.entries}, key=_ours_first)
        return cls(
            tuple(f"tasks/{name}.html" for name in _unique(map(_board_name, boards))),
            dict(zip(models, (f"models/{n}.html" for n in _unique(name for _, name in models)), strict=True)),
        )

    def model(self, entry: Entry) -> str:
        """Address of the page of an entry's model."""
        return self.models[identity(entry)]


def _ours_first(model: Identity) -> tuple[bool, str, str]:
    source, name = model
    return source != "ours", name, source


def _board_name(board: Board) -> str:
    parts = [board.task]
    if not board.is_official:
        parts.append(board.fold_scheme)
    if board.is_partial:
        parts.append(str(board.rows))
    if not board.is_only:
        parts.append(short_digest(board.data))
    return " ".join(parts)


def _unique(names: Iterable[str]) -> list[str]:
    """File names for names: lower-case letters, digits and hyphens; a number is appended where two would be equal."""
    taken: set[str] = set()
    found = []
    for name in names:
        base = re.sub(r"[^a-z0-9_.]+", "-", name.lower()).strip("-.") or "unnamed"
        slug = next(s for s in (base, *(f"{base}-{k}" for k in range(2, len(taken) + 3))) if s not in taken)
        taken.add(slug)
        found.append(slug)
    return found
