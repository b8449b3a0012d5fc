"""Reading studies: finished ones from their files, the others from the storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalbench._validation import first_problem
from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study
from crystalbench.tuning.reading import load_studies
from crystalbench.tuning.storage import Storage


def read_studies(folder: Path, storage: str | None) -> tuple[list[Study], list[CrystalBenchError]]:
    """Read finished studies from their files and the others from the storage.

    Args:
        folder: the folder of studies.
        storage: URL of a storage. Without one, the SQLite file in the folder is read if it exists; if it cannot be
            used, this is one of the returned errors.

    Returns:
        The studies, sorted by task, label, view and fold; and an error for each file that cannot be read.

    Raises:
        ConfigError: the storage of this URL cannot be used.
    """
    studies, damaged = StudyStore(folder).read_all()
    problems: list[CrystalBenchError] = [*damaged]
    place = Storage(storage) if storage else Storage.below(folder)
    if place.file is None or place.file.is_file():
        known = {study.name for study in studies}
        try:
            studies += [study for study in _unfinished(place) if study.name not in known]
        except ConfigError as error:
            if storage:
                raise
            problems.append(error)
    return sorted(studies, key=lambda s: (s.spec.task, s.label, s.spec.view, s.spec.fold, s.name)), problems


def _unfinished(place: Storage) -> list[Study]:
    try:
        with place.translated_errors():
            return load_studies(place)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"storage {place.masked_url}: does not hold studies of this version of CrystalBench and Optuna "
            f"({first_problem(error)}); read it with the versions that wrote it"
        ) from error


def chosen(studies: Sequence[Study], tasks: Sequence[str], models: Sequence[str], folds: Sequence[int]) -> list[Study]:
    """The studies of these tasks, models (by name or label) and folds; an empty selection means all."""
    return [
        study
        for study in studies
        if (not tasks or study.spec.task in tasks)
        and (not models or study.label in models or study.spec.model in models)
        and (not folds or study.spec.fold in folds)
    ]
