"""What pretrained parts of models have seen, and whether that rules an entry out on a task.

Two packaged tables, with their sources, declare which data sets contain the labels of which tasks, and what is known
about published algorithms.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

DATA_SETS_FILE, FACTS_FILE = "pretraining.csv", "published_facts.csv"
"""Names of the packaged tables."""


@dataclass(frozen=True)
class DataSet:
    """A data set that models are pretrained on.

    Attributes:
        labels: tasks whose labels it contains, or the quantity that they are computed from.
        related: tasks with other properties of crystals of the same database.
        source: where this is known from.
    """

    labels: frozenset[str]
    related: frozenset[str]
    source: str


@dataclass(frozen=True)
class PublishedFacts:
    """What is known about a published algorithm beyond its scores.

    Attributes:
        pretrained_on: names of data sets that a pretrained part has seen.
        note: what a reader should know; empty if nothing.
        source: where this is known from.
    """

    pretrained_on: frozenset[str] = frozenset()
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Verdict:
    """What pretraining means for an entry on a task.

    Attributes:
        refused: why the entry is not ranked; empty if it is.
        flagged: what a reader should know about it; empty if nothing.
    """

    refused: str = ""
    flagged: str = ""


def verdict(pretrained_on: Iterable[str], task: str) -> Verdict:
    """Whether an entry may be ranked on a task.

    Args:
        pretrained_on: names of the data sets that a pretrained part of the model has seen.
        task: name of the task.

    Returns:
        Refused if a data set contains the labels of the task; flagged if one has other properties of crystals of the
        same database, or is not in the table of data sets.

    Examples:
        >>> verdict(["MPtrj"], "matbench_mp_e_form").refused
        'pretrained on MPtrj, which contains the labels of this task'
        >>> verdict(["MPtrj"], "matbench_phonons").flagged
        'pretrained on MPtrj, which has other properties of crystals of the same database'
        >>> verdict(["MPtrj"], "matbench_perovskites")
        Verdict(refused='', flagged='')
    """
    names, known = sorted(set(pretrained_on)), data_sets()
    labels = [name for name in names if name in known and task in known[name].labels]
    related = [name for name in names if name in known and task in known[name].related]
    unknown = [name for name in names if name not in known]
    flags = []
    if related and not labels:
        verb = "has" if len(related) == 1 else "have"
        flags.append(
            f"pretrained on {', '.join(related)}, which {verb} other properties of crystals of the same database"
        )
    if unknown:
        flags.append(
            f"pretrained on {', '.join(unknown)}, and it is not known whether this task's labels are part of it"
        )
    verb = "contains" if len(labels) == 1 else "contain"
    refused = f"pretrained on {', '.join(labels)}, which {verb} the labels of this task" if labels else ""
    return Verdict(refused, "; ".join(flags))


@functools.cache
def data_sets() -> Mapping[str, DataSet]:
    """Data sets that models are pretrained on, by name."""
    return {
        str(row["data_set"]): DataSet(
            frozenset(str(row["labels"]).split()), frozenset(str(row["related"]).split()), str(row["source"])
        )
        for row in _table(DATA_SETS_FILE).to_dict("records")
    }


@functools.cache
def published_facts() -> Mapping[str, PublishedFacts]:
    """What is known about published algorithms, by name; most have no entry."""
    return {
        str(row["algorithm"]): PublishedFacts(
            frozenset(str(row["pretrained_on"]).split()), str(row["note"]), str(row["source"])
        )
        for row in _table(FACTS_FILE).to_dict("records")
    }


def _table(name: str) -> pd.DataFrame:
    file = importlib.resources.files("crystalbench.evaluation") / "data" / name
    with file.open("r", encoding="utf-8") as stream:
        return pd.read_csv(stream, comment="#", dtype=str, keep_default_na=False)
