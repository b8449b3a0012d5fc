"""Targets in tables, as numbers, and groups."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import bad_rows, first_ids
from crystalbench.errors import DataError
from crystalbench.tasks.tables.text import is_missing, look, visible

LARGEST = 1e100
"""Largest absolute value of a target; the squares of larger ones are not finite."""


def read_numbers(values: Sequence[Any], column: str) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
    """Convert values to numbers, including numbers written as text.

    Args:
        values: n values; None, NaN and texts such as ``nan`` or ``NA`` are missing.
        column: name of the column, for messages.

    Returns:
        (n,) numbers, NaN for values that are missing or no finite number; and what is wrong with the latter, by row.
    """
    numbers = np.full(len(values), np.nan)
    problems: dict[int, str] = {}
    for row, value in enumerate(values):
        if is_missing(value):
            continue
        try:
            numbers[row] = _number(value)
        except (TypeError, ValueError, OverflowError) as error:
            problems[row] = f"its {column!r} {error}"
    return numbers, problems


def _number(value: Any) -> float:
    """A value as a number.

    Raises:
        ValueError: it is not a number, not finite, too large, or too small for double precision; says which.
    """
    no_number = ValueError(f"is {_short(value)}, which is not a number")
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and "_" in value):
        raise no_number
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise no_number from None
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise ValueError("is not finite")
    if abs(number) > LARGEST:
        raise ValueError(f"is {_short(value)}, which is beyond ±{LARGEST:g}; give it in another unit")
    if number == 0 and isinstance(value, str) and re.search("[1-9]", value.lower().partition("e")[0]):
        raise ValueError(f"is {_short(value)}, which is too small for double precision; give it in another unit")
    return number


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_SHOWN = 60
"""Characters of a value that a message shows."""


def label_problems(values: Sequence[Any]) -> dict[int, str]:
    """What is wrong with labels that can be no class, by row.

    Args:
        values: n values of a column; missing ones are not listed.
    """
    problems: dict[int, str] = {}
    for row, value in enumerate(values):
        if is_missing(value):
            continue
        label = _plain(value)
        if not isinstance(label, (bool, int, str)):
            problems[row] = f"label {_short(value)} is not a text, an integer or a boolean"
        elif isinstance(label, str) and not any(char.isalnum() for char in label):
            problems[row] = f"label {value!r} has no letter or digit; write NA for a missing label, or a word"
    return problems


def groups_of(values: Sequence[Any], ids: npt.NDArray[np.str_], column: str) -> npt.NDArray[np.str_]:
    """The groups of rows as texts.

    Args:
        values: n groups: texts, numbers or booleans. Blanks at the ends of texts do not count.
        ids: (n,) ids of the rows.
        column: name of the column, for messages.

    Raises:
        DataError: a group is missing or is something else, or two groups look alike; names the ids.
    """
    if absent := [str(name) for name, value in zip(ids, values, strict=True) if is_missing(value)]:
        raise DataError(f"{len(absent):,} of {len(ids):,} rows have no group in column {column!r}: {first_ids(absent)}")
    plain = [_plain(value) for value in values]
    problems = [
        (str(name), f"group {_short(value)} is not a text, a number or a boolean")
        for name, value in zip(ids, plain, strict=True)
        if not isinstance(value, (bool, int, float, str))
    ]
    if problems:
        raise bad_rows(problems)
    groups = [str(value) for value in plain]
    if _read_texts(groups, "groups") == groups:
        _require_one_spelling(groups, ids, "group")
    _require_clear(groups, ids, "group", visible)
    return np.array(groups, dtype=np.str_)


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
            characters that look alike; names the ids.
    """
    if wrong := label_problems(values):
        raise bad_rows([(str(ids[row]), problem) for row, problem in wrong.items()])
    labels = [_plain(value) for value in values]
    texts = [label for label in labels if isinstance(label, str)]
    if len(texts) == len(labels):
        labels = _read_texts(texts)
        if labels == texts:
            _require_one_spelling(texts, ids, "label")
    others = [
        (str(ids[row]), f"label {values[row]!r} has another type than {values[0]!r} of {ids[0]}")
        for row, label in enumerate(labels)
        if type(label) is not type(labels[0])
    ]
    if others:
        raise DataError(f"{bad_rows(others)}; write all labels in the same way")
    _require_clear([label for label in labels if isinstance(label, str)], ids, "label", look)
    order = {label: number for number, label in enumerate(sorted(set(labels)))}
    classes = tuple(str(label).lower() if isinstance(label, bool) else str(label) for label in order)
    return classes, np.array([order[label] for label in labels], np.float64)


def _require_clear(texts: Sequence[str], ids: npt.NDArray[np.str_], what: str, seen_as: Callable[[str], str]) -> None:
    """Refuse texts that are one label or group written in several ways, such as ``Yes`` and ``yes``.

    Args:
        texts: n texts, or none.
        ids: (n,) ids of the rows.
        what: ``label`` or ``group``.
        seen_as: what texts have in common that look alike.
    """
    first: dict[str, tuple[str, str]] = {}
    problems = []
    for text, name in zip(texts, ids, strict=False):
        other, other_name = first.setdefault(seen_as(text), (text, str(name)))
        if other != text:
            problems.append((str(name), f"{what} {text!r} looks like {other!r} of {other_name}"))
    if problems:
        raise DataError(
            f"{bad_rows(problems)}; write equal {what}s in the same way, and others so that they differ in more than "
            "case"
        )


_TRUTH = (("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0"))
"""Spellings of true and of false."""
_INITIALS = (("true", "t"), ("yes", "y"), ("false", "f"), ("no", "n"))
"""Words and initials; alone, these may be elements."""


def _require_one_spelling(texts: Sequence[str], ids: npt.NDArray[np.str_], what: str) -> None:
    """Refuse texts that write one number in two ways, and labels that do so with a truth value (``true``, ``1``).

    Args:
        texts: n texts, not all of them numbers.
        ids: (n,) ids of the rows.
        what: ``label`` or ``group``.
    """
    first: dict[str, tuple[str, str]] = {}
    for text, name in zip(texts, ids, strict=True):
        first.setdefault(text.lower(), (text, str(name)))
    alike: list[list[str]] = [list(words) for words in (*_TRUTH, *_INITIALS)] if what == "label" else []
    numbers: dict[int, list[str]] = {}
    for text in (text for text in first if "_" not in text):
        with contextlib.suppress(ValueError, OverflowError):
            numbers.setdefault(_whole_number(text), []).append(text)
    for words in (*numbers.values(), *alike):
        found = [first[word] for word in words if word in first]
        if len(found) > 1:
            (one, one_name), (other, other_name), *_ = found
            raise DataError(
                f"the {what}s {one!r} of {one_name} and {other!r} of {other_name} may be one; write equal {what}s in "
                "the same way, and others as different words"
            )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value.strip()
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= _WHOLE
    return int(value) if is_whole else value


_WHOLE = 2.0**53
"""Larger floats are not exact as integers."""


def _read_texts(texts: list[str], what: str = "labels") -> list[Any]:
    """Labels or groups that are all booleans or integers, as such; else, the texts."""
    lowered = {text.strip().lower() for text in texts}
    if lowered <= {"true", "false"}:
        return [text.strip().lower() == "true" for text in texts]
    if any("_" in text for text in texts):  # Python reads 1_2 as 12
        return list(texts)
    try:
        numbers = [_whole_number(text) for text in texts]
    except (ValueError, OverflowError):
        return list(texts)
    written: dict[int, str] = {}
    for text, number in zip(texts, numbers, strict=True):
        if written.setdefault(number, text) != text:
            raise DataError(
                f"the {what} {written[number]!r} and {text!r} are one number; write equal {what} in the same way, and "
                "others so that they are not numbers"
            )
    return list(numbers)


def _whole_number(text: str) -> int:
    """An integer as text, such as ``3``, ``3.0`` or ``3e0``.

    Raises:
        ValueError: it is none.
        OverflowError: it is infinite.
    """
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text!r} is not an integer")
    return int(number)
