"""DerivedTaskSpec: a task made of the rows of another one, with other targets."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import atomic_number
from crystalbench.errors import DataError
from crystalbench.tasks.derived.labelling import Labelling
from crystalbench.tasks.folds import stratified_kfold
from crystalbench.tasks.remote import RemoteFile
from crystalbench.tasks.spec import Availability, TaskSpec
from crystalbench.tasks.store import Decoded, load_or_build
from crystalbench.tasks.task import Task

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources


@dataclass(frozen=True)
class StratifiedFolds:
    """Shuffled folds with the classes in equal proportions.

    Attributes:
        k: number of folds.
        seed: seed of the shuffle.
    """

    k: int = 5
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class DerivedTaskSpec(TaskSpec):
    """A task made of the rows of another one, with other targets.

    Its data are those of the source: they are found in the same files, downloaded from the same addresses and verified
    in the same way, and rows keep their ids. ``--data`` may name a file for the source or for the derived task itself.

    A limit of the number of rows applies to the derived task, not to its source.

    Attributes:
        source: the task whose rows these are.
        labelling: which rows, and their targets.
        folds: how the folds are made; None for those of the source.
        without_elements: symbols of elements whose compounds are left out before rows are labelled.

    Examples:
        >>> from crystalbench.tasks import DataSources, get_task_spec
        >>> from crystalbench.tasks.derived import Above
        >>> stiff = DerivedTaskSpec.of(
        ...     "stiff", get_task_spec("demo_bulk_modulus"), Above(100.0, "GPa", "bulk modulus"), rows_total=1168
        ... )
        >>> stiff.load(DataSources())
        Task stiff: 1,168 crystals → bulk modulus > 100 GPa (false / true), 5 folds, metric ROC-AUC
    """

    source: TaskSpec
    labelling: Labelling
    folds: StratifiedFolds | None = None
    without_elements: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        source: TaskSpec,
        labelling: Labelling,
        *,
        rows_total: int,
        metric: str = "rocauc_true",
        folds: StratifiedFolds | None = None,
        without_elements: tuple[str, ...] = (),
        description: str = "",
    ) -> DerivedTaskSpec:
        """Create the spec, with target, terms and origin that follow from the source and the labelling.

        Args:
            name: unique name.
            source: the task whose rows these are.
            labelling: which rows, and their targets.
            rows_total: number of rows if the source is complete.
            metric: name of the main metric.
            folds: how the folds are made; None for those of the source.
            without_elements: symbols of elements whose compounds are left out.
            description: one line.
        """
        return cls(
            name=name,
            target=labelling.target(source),
            metric=metric,
            has_structures=source.has_structures,
            rows_total=rows_total,
            description=description,
            license=source.license,
            reference=source.reference,
            source=source,
            labelling=labelling,
            folds=folds,
            without_elements=without_elements,
        )

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The files of the source."""
        return self.source.remote_files

    def check_file(self, file: Path) -> None:
        """Check a file as the source does.

        Raises:
            ConfigError: the source does not read such files.
        """
        self.source.check_file(file)

    def local_files(self, sources: DataSources) -> tuple[Path, ...] | None:
        """The files of the source on this machine; None if some are missing.

        Raises:
            DataError: a file that the user named does not exist.
            ConfigError: the source does not read such files.
        """
        return self.source.local_files(self._for_source(sources))

    def availability(self, sources: DataSources) -> Availability:
        """Whether the data of the source is on this machine. The number of rows is known if the source is complete."""
        found = self.source.availability(self._for_source(sources))
        complete = found.here and found.rows == self.source.rows_total
        return replace(found, rows=self.rows_total if complete else None)

    def has_structures_here(self, sources: DataSources) -> bool:
        """As the source."""
        return self.source.has_structures_here(self._for_source(sources))

    def load(self, sources: DataSources) -> Task:
        """Read the source and label its rows; what takes long is read from the cache folder if it was done before.

        Raises:
            DataError: the data is missing or damaged, the source lacks what the labels are made from, or there are more
                rows than `rows_total`.
        """
        source = self.source.load(self._for_source(sources))
        if self.labelling.slow:
            task = load_or_build(self.name, self._key(source), lambda: self._derived(source))
        else:
            decoded = self._derived(source)
            task = replace(decoded.task, remarks=decoded.remarks)
        total = self.rows_total or len(task)  # it may have changed since labels were kept
        if len(task) > total:
            raise DataError(
                f"{self.name}: has {len(task):,} rows, more than the {total:,} that it declares, e.g. "
                f"{first_ids(task.inputs.ids)}; correct rows_total"
            )
        return replace(
            task,
            rows_total=total,
            target=self.labelling.target(source),
            metric=self.metric,
            source=source.source,
            remarks=(*source.remarks, *task.remarks),
        ).limited(sources.limit)

    def _for_source(self, sources: DataSources) -> DataSources:
        """The same places for the source: all of its rows, from the file that was named for this task if there is one.

        Raises:
            DataError: the file that the user named for this task does not exist.
        """
        named = sources.named_file(self.name)
        files = sources.files if named is None else {**sources.files, self.source.name: named}
        return replace(sources, files=files, limit=None)

    def _derived(self, source: Task) -> Decoded:
        source, remarks = self._without(source)
        try:
            found = self.labelling(source)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        if len(found.rows) == 0:
            raise DataError(f"{self.name}: no row of {source.name} is left ({'; '.join(found.remarks)})")
        inputs = source.inputs if len(found.rows) == len(source) else source.inputs[found.rows]
        if self.folds is None:
            folds = source.folds[found.rows]
        else:
            folds = stratified_kfold(found.targets.astype(np.int64), self.folds.k, self.folds.seed)
        task = Task(
            self.name,
            self.labelling.target(source),
            self.metric,
            inputs,
            np.asarray(found.targets, np.float64),
            np.asarray(folds, np.int16),
            len(inputs),
            source.source,
        )
        return Decoded(task, (*remarks, *found.remarks))

    def _without(self, source: Task) -> tuple[Task, tuple[str, ...]]:
        """The source without the compounds of some elements, and what was left out."""
        if not self.without_elements:
            return source, ()
        compositions = source.inputs.compositions() if isinstance(source.inputs, Crystals) else source.inputs
        unwanted = np.isin(compositions.numbers, [atomic_number(symbol) for symbol in self.without_elements])
        rows = np.flatnonzero(np.bincount(compositions.owners, unwanted, len(source)) == 0)
        dropped = len(source) - len(rows)
        if not dropped:
            return source, ()
        rest = replace(
            source,
            inputs=source.inputs[rows],
            targets=source.targets[rows],
            folds=source.folds[rows],
            rows_total=source.rows_total - dropped,
        )
        elements = " or ".join(self.without_elements)
        return rest, (f"{dropped:,} of {len(source):,} rows contain {elements} and are left out",)

    def _key(self, source: Task) -> str:
        """SHA-256 of everything that determines the derived task."""
        versions = {name: importlib.metadata.version(name) for name in self.labelling.packages}
        recipe = (source.digest, self.labelling, self.labelling.version, versions, self.folds, self.without_elements)
        return hashlib.sha256(repr(recipe).encode()).hexdigest()
