"""Hyperparameters of entries that are not the defaults of their models.

A board names entries of one model by what they differ in, so that what all of them share is not in their names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.stacks import short_members
from crystalbench.reports.formatting import full_title
from crystalbench.reports.site.content import Content

_MEMBERS = "members"
"""The hyperparameter of stacks that their names show in short."""


def deviations(content: Content, entry: Entry) -> str:
    """Hyperparameters other than the present defaults of a registered model, without those in the name of the entry.

    Of a tuned entry, those that were set before the search.

    Returns:
        Such as ``epochs=20, width=32``; empty if there are none.
    """
    if entry.source != OURS:
        return ""
    settings, defaults = content.settings.get(entry.configuration, {}), _defaults(entry.model_name)
    others = {name: settings[name] for name in defaults if name in settings and settings[name] != defaults[name]}
    if _MEMBERS in others:
        short = short_members([str(others[_MEMBERS])])
        others |= {} if short is None else {_MEMBERS: short[0]}
    texts = {name: f"{name}={value_text(value)}" for name, value in others.items()}
    return ", ".join(text for name, text in texts.items() if not _is_shown(entry, name, text))


def deviations_note(content: Content, board: Board) -> list[str]:
    """A note on all entries of a board with such hyperparameters; none if there are none."""
    found = {full_title(entry): text for entry in board.entries if (text := deviations(content, entry))}
    listing = "; ".join(f"{name}: {text}" for name, text in found.items())
    return [f"Hyperparameters other than the present defaults of the model: {listing}."] if found else []


def value_text(value: object) -> str:
    """A hyperparameter as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _is_shown(entry: Entry, name: str, text: str) -> bool:
    """Whether the name of an entry shows a hyperparameter; names of stacks contain the members without ``members=``."""
    return text in entry.model or (name == _MEMBERS and " + " in entry.model)


@functools.cache
def _defaults(name: str) -> Mapping[str, Any]:
    """The default hyperparameters of a registered model, as JSON has them; none if it cannot be found here."""
    from crystalbench.models.registry import get_model, model_names  # here: torch is slow to import

    try:
        if name not in model_names():
            return {}
        found: Mapping[str, Any] = json.loads(json.dumps(get_model(name).from_configuration({}).configuration()))
        return found
    except CrystalBenchError:
        return {}
