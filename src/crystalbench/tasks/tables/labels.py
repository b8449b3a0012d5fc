"""Targets in tables, as numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import bad_rows
from crystalbench.errors import DataError

MISSING = {"", "nan", "na", "n/a", "null", "none"}
"""Texts that stand for a missing value, in lower case."""


def is_missing(value: Any) -> bool:
    """Whether a value of a table is missing: None, NaN, or a text such as ``NA`` or ``null``."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or value != value


def numbers_of(values: Sequence[Any], ids: npt.NDArray[np.str_], column: str) -> npt.NDArray[np.float64]:
    """Convert values to numbers, including numbers written as text.

    Args:
        values: n values; None, NaN and texts such as ``nan`` or ``NA`` are missing.
        ids: (n,) ids of the rows.
        column: name of the column, for messages.

    Returns:
        (n,) numbers, NaN for missing values.

    Raises:
        DataError: a value is neither a number nor missing; names the ids.
    """
    numbers = np.full(len(values), np.nan)
    problems: list[tuple[str, str]] = []
    for row, value in enumerate(values):
        if is_missing(value):
            continue
        try:
            if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and "_" in value):
                raise ValueError
            numbers[row] = float(value)
        except (TypeError, ValueError):
            problems.append((str(ids[row]), f"its {column!r} is {value!r}, which is not a number"))
    if problems:
        raise bad_rows(problems)
    return numbers


def encode_labels(values: Sequence[Any], ids: npt.NDArray[np.str_]) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Convert labels to class numbers.

    Labels are texts, integers or booleans; integers and booleans may be written as text.

    Args:
        values: n labels.
        ids: (n,) ids of the rows.

    Returns:
        The classes in order (numbers by value, ``false`` before ``true``, texts alphabetically), and the (n,) class
        numbers.

    Raises:
        DataError: a label is something else, labels have different types, or labels differ only in case or in
            characters that look alike; names the id.
    """
    labels = [_plain(value) for value in values]
    texts = [label for label in labels if isinstance(label, str)]
    if len(texts) == len(labels):
        labels = _read_texts(texts)
    kinds = {type(label) for label in labels}
    for row, label in enumerate(labels):
        if not isinstance(label, (bool, int, str)):
            raise DataError(f"{ids[row]}: label {values[row]!r} is not a text, an integer or a boolean")
        if len(kinds) > 1 and type(label) is not type(labels[0]):
            raise DataError(
                f"{ids[row]}: label {values[row]!r} has another type than {values[0]!r} of {ids[0]}; "
                "write all labels in the same way"
            )
    _require_clear(labels, ids)
    order = {label: number for number, label in enumerate(sorted(set(labels)))}
    classes = tuple(str(label).lower() if isinstance(label, bool) else str(label) for label in order)
    return classes, np.array([order[label] for label in labels], np.float64)


def _require_clear(labels: Sequence[Any], ids: npt.NDArray[np.str_]) -> None:
    """Refuse texts that are one class written in several ways, such as ``Yes`` and ``yes``."""
    first: dict[str, tuple[str, str]] = {}
    for label, name in zip(labels, ids, strict=True):
        if isinstance(label, str):
            visible = "".join(
                char for char in unicodedata.normalize("NFKC", label) if unicodedata.category(char) != "Cf"
            )
            other, other_name = first.setdefault(visible.casefold(), (label, str(name)))
            if other != label:
                raise DataError(
                    f"{name}: label {label!r} looks like {other!r} of {other_name}; write equal labels in the "
                    "same way, and others so that they differ in more than case"
                )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value.strip()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read_texts(texts: list[str]) -> list[Any]:
    lowered = {text.strip().lower() for text in texts}
    if lowered <= {"true", "false"}:
        return [text.strip().lower() == "true" for text in texts]
    if any("_" in text for text in texts):  # Python reads 1_2 as 12
        return list(texts)
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return list(texts)
    if not all(number.is_integer() for number in numbers):
        return list(texts)
    written: dict[float, str] = {}
    for text, number in zip(texts, numbers, strict=True):
        if written.setdefault(number, text) != text:
            raise DataError(
                f"the labels {written[number]!r} and {text!r} are one number; write equal labels in the same way, and "
                "others so that they are not numbers"
            )
    return [int(number) for number in numbers]
