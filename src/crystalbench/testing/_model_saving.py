"""Checks of saving a model and loading it."""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from crystalbench.models.model import Model
from crystalbench.models.saving import ARRAYS, DESCRIPTION, load_model, save_model
from crystalbench.testing._model_case import ModelCase, prediction_crystals, require_identical
from crystalbench.testing.report import CheckFailure


def can_be_saved(model: type[Model]) -> bool:
    """Whether a model defines `state` or `restore`; both may be left out."""
    return model.state is not Model.state or model.restore is not Model.restore


def saving_reproduces_predictions(case: ModelCase) -> None:
    """Saved and loaded, it predicts the same.

    The predictions are identical, and so are the files if it is saved again.
    """
    for kind in case.kinds:
        expected = case.expected(kind)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            save_model(case.fitted(kind), folder)
            loaded = load_model(folder, model=case.model)
            require_identical(
                expected, case.predictions(loaded, prediction_crystals(), kind), f"{kind}: saved and loaded"
            )
            save_model(loaded, again := Path(scratch) / "again")
            for name in (ARRAYS, DESCRIPTION):
                if (folder / name).read_bytes() != (again / name).read_bytes():
                    raise CheckFailure(f"{kind}: after loading, it saves a different {name}")


def saved_data_are_plain(case: ModelCase) -> None:
    """Saved data are numbers and JSON.

    No pickled objects are hidden in arrays of bytes or in strings.
    """
    for kind in case.kinds:
        case.expected(kind)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            save_model(case.fitted(kind), folder)
            for name, data in _bytes_in(folder):
                if _is_pickled(data):
                    raise CheckFailure(f"{kind}: {name} is a pickled object; unpickling can run any code")


def _bytes_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Arrays of bytes and strings of a saved model, by name."""
    for name, array in load_file(folder / ARRAYS).items():
        if array.dtype in (np.uint8, np.int8):
            yield f"the array {name!r}", array.tobytes()
    facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["facts"]
    for text in _strings(facts):
        yield "a string in its facts", text.encode("latin-1", errors="ignore")
        try:
            yield "a string in its facts", base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue


def _strings(facts: Any) -> Iterator[str]:
    if isinstance(facts, str):
        yield facts
    elif isinstance(facts, dict):
        for key, value in facts.items():
            yield key
            yield from _strings(value)
    elif isinstance(facts, list):
        for value in facts:
            yield from _strings(value)


def _is_pickled(data: bytes) -> bool:
    if not data.startswith(b"\x80"):  # protocol 2 or later
        return False
    try:
        return [op.name for op, _, _ in pickletools.genops(data)][-1] == "STOP"
    except (ValueError, IndexError):
        return False


CHECKS = (saving_reproduces_predictions, saved_data_are_plain)
