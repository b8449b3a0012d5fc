"""All results of a folder as data frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.errors import ConfigError, RecordError, UnknownNameError
from crystalbench.results.entry import ENTRIES, EntryStore, ImportedEntry, truth_digest
from crystalbench.results.frames import DTYPES, EntryRun, entry_predictions_frame, predictions_frame, scores_frame
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.targets import OFFICIAL

RECORDS = "records"
"""Folder of the records below a folder of results."""

PROBES = "probes"
"""Folder, below a folder of results, of what probes add: records that are no entries of leaderboards, and answers."""


class Results:
    """Records as data frames.

    Scores are read at once. Records and predictions take much more memory, so they are read from their files when
    they are first used; `select` keeps what is needed of them. Made by `load_results` or from records in memory.

    Args:
        records: the records, or the files to read them from; and folds of imported entries.
        scores: scores of these records, if they are known already; made from the records otherwise.
        problems: an error for each file that could not be read.
        name: where the records come from.

    Attributes:
        scores: one row per run and metric; `crystalbench.results.frames.scores_frame` lists the columns.
        problems: an error for each file that could not be read.
        name: where the records come from.

    Example:
        >>> from crystalbench.results import Results
        >>> Results([])
        <Results: 0 runs>
    """

    def __init__(
        self,
        records: Sequence[Record | Path | EntryRun],
        scores: pd.DataFrame | None = None,
        problems: Sequence[RecordError] = (),
        name: str = "",
    ) -> None:
        self._sources: list[Record | Path | EntryRun] = [*records]
        self.scores = scores_frame(chain(self._read(), self._entry_runs)) if scores is None else scores
        self.problems = list(problems)
        self.name = name

    def _read(self) -> Iterator[Record]:
        for source in self._sources:
            if isinstance(source, Record):
                yield source
            elif isinstance(source, Path):
                yield RecordStore(source.parent).read(source)

    @property
    def _entry_runs(self) -> list[EntryRun]:
        return [source for source in self._sources if isinstance(source, EntryRun)]

    def __len__(self) -> int:
        """Number of runs; each fold of an imported entry counts as one."""
        return len(self._sources)

    @cached_property
    def records(self) -> list[Record]:
        """The records; imported entries have none.

        Raises:
            RecordError: a file was deleted or damaged since the scores were read.
        """
        return list(self._read())

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per predicted sample; `crystalbench.results.frames.predictions_frame` lists the columns.

        Rows of imported entries follow those of records.

        Raises:
            RecordError: a file was deleted or damaged since the scores were read.
        """
        frame = predictions_frame(self.records if "records" in self.__dict__ else self._read())
        if not (entries := self._entry_runs):
            return frame
        imported = entry_predictions_frame(entries)
        return pd.concat([frame, imported], ignore_index=True) if len(frame) else imported

    @cached_property
    def predictions_on_other_folds(self) -> pd.DataFrame | None:
        """The predictions of runs on other folds than the official ones, whose scores leaderboards pool.

        None if there are no such runs, in which case no file is read.
        """
        others = self.scores["fold_scheme"] != OFFICIAL
        if not others.any():
            return None
        if "predictions" in self.__dict__:
            return self.predictions[self.predictions["fold_scheme"] != OFFICIAL]
        return self.select(fold_scheme=self.scores.loc[others, "fold_scheme"].unique()).predictions

    @cached_property
    def predictions_with_std(self) -> pd.DataFrame:
        """The predictions of the runs that predict standard deviations; the files of the others are not read again."""
        if "predictions" in self.__dict__:
            return self.predictions[self.predictions["std"].notna()]
        return self.select(has_std=True).predictions

    def select(self, **values: Any) -> Results:
        """The runs with these values in columns of the scores frame.

        Args:
            **values: for each column, a value or several of them, e.g. ``task="matbench_phonons", fold=[0, 1]``.

        Raises:
            UnknownNameError: there is no such column.
        """
        keep = np.ones(len(self.scores), np.bool_)
        for column, wanted in values.items():
            if column not in DTYPES:
                raise UnknownNameError("column", column, DTYPES)
            several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
            keep &= self.scores[column].isin(list(wanted) if several else [wanted]).to_numpy()
        scores = self.scores[keep]
        positions, runs = pd.factorize(scores.index)
        scores = scores.set_index(pd.Index(positions, name=scores.index.name))
        return Results([self._sources[run] for run in runs], scores, self.problems, self.name)

    def joined(self, other: Results) -> Results:
        """These runs and others."""
        scores = pd.concat([self.scores, other.scores.set_index(other.scores.index + len(self))])
        problems = [*self.problems, *other.problems]
        return Results([*self._sources, *other._sources], scores, problems, self.name)

    def __repr__(self) -> str:
        """One line."""
        parts = [_count(len(self), "run")]
        if len(self):
            parts += [_count(self.scores[column].nunique(), column) for column in ("task", "model")]
        if self.problems:
            parts.append(_count(len(self.problems), "unreadable file"))
        return f"<Results{f' of {self.name}' * bool(self.name)}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """The line and a table of the runs by task and model, for notebooks."""
        from html import escape

        runs = self.scores[~self.scores.index.duplicated()]
        by = ["task", "model", "protocol", "view"]
        table = runs.groupby(by).agg(folds=("fold", "nunique"), seeds=("seed", "nunique"), runs=("key", "size"))
        return f"<p>{escape(repr(self))}</p>" + table.reset_index().to_html(index=False)


def load_results(folder: str | Path) -> Results:
    """Read all records and imported entries of a folder of results.

    Args:
        folder: e.g. ``results``; the records are in ``records`` below it, imported entries in ``entries``.

    Returns:
        The results. Files that are no complete records or entries are listed in their `problems`.

    Raises:
        ConfigError: there is no such folder, or it has neither.
    """
    folder = Path(folder)
    found = read_results(RecordStore(folder / RECORDS), EntryStore(folder / ENTRIES))
    if not len(found) and not found.problems:
        raise ConfigError(
            f"{folder}: has no records ({RECORDS}/TASK/MODEL/*.json); run a suite first (crystalbench run), or name "
            "the folder that was given to --results"
        )
    return found


def read_with_probes(folder: Path) -> Results:
    """All records of a folder, with those that probes have added below it; there may be none."""
    return read_results(RecordStore(folder / RECORDS)).joined(read_results(RecordStore(folder / PROBES / RECORDS)))


def read_results(store: RecordStore, entries: EntryStore | None = None) -> Results:
    """Read all records of a store, which may be empty, and all imported entries.

    Args:
        store: the records.
        entries: imported entries; none by default. An entry gets the digest of the data of those records that have the
            same ids, targets and folds, so that it is on their board.
    """
    found, problems = ([], []) if entries is None else entries.read_all()
    paths: list[Path] = []
    truths = _Truths({entry.task for _, entry in found})

    def readable() -> Iterator[Record | EntryRun]:
        for path in store.paths():
            try:
                record = store.read(path)
            except RecordError as error:
                problems.append(error)
            else:
                paths.append(path)
                truths.add(record)
                yield record
        for path, entry in found:
            try:
                runs = truths.runs_of(path, entry)
            except RecordError as error:
                problems.append(error)
                continue
            imported.extend(runs)
            yield from runs

    imported: list[EntryRun] = []
    scores = scores_frame(readable())
    return Results([*paths, *imported], scores, problems, str(store.root.parent))


class _Truths:
    """Ids and targets of the test parts of records, to find the records of the same data as an imported entry.

    Args:
        tasks: names of the tasks that matter.
    """

    def __init__(self, tasks: set[str]) -> None:
        self._of: dict[str, dict[str, dict[int, str]]] = {task: {} for task in tasks}
        self._rows: Counter[tuple[str, int]] = Counter()

    def add(self, record: Record) -> None:
        """Add the test part of a record, unless it is known."""
        spec = record.spec
        if spec.task not in self._of:
            return
        self._rows[spec.data, record.rows.task] += 1
        by_fold = self._of[spec.task].setdefault(spec.data, {})
        if spec.fold not in by_fold:
            by_fold[spec.fold] = truth_digest(record.predictions.ids, record.predictions.targets)

    def runs_of(self, path: Path, entry: ImportedEntry) -> list[EntryRun]:
        """The folds of an entry, with the data of the most records that agree with it, or with its own."""
        mine = {fold.fold: fold.truth for fold in entry.folds}

        def agrees(by_fold: dict[int, str]) -> bool:
            common = mine.keys() & by_fold.keys()
            return bool(common) and all(mine[fold] == by_fold[fold] for fold in common)

        same = {data for data, by_fold in self._of[entry.task].items() if agrees(by_fold)}
        known = [(count, data, rows) for (data, rows), count in self._rows.items() if data in same]
        _, data, rows = max(known, default=(0, entry.truth, entry.rows))
        has_std = EntryStore(path.parents[1]).has_std(path)
        return [EntryRun(path, entry, fold, data, rows, has_std) for fold in mine]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
