"""`check_task` accepts the registered tasks, and broken tasks fail one check each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from crystalbench.data.crystals import Crystals
from crystalbench.errors import UnknownNameError
from crystalbench.targets import Kind, Target
from crystalbench.tasks import Availability, DataSources, Source, Task, TaskSpec, task_specs
from crystalbench.testing import ContractError, check_task
from crystalbench.testing.crystals import changed, random_crystals

HERE = DataSources(download=False)


def is_here(spec: TaskSpec) -> bool:
    return spec.availability(HERE).here


@pytest.mark.parametrize("name", [name for name, spec in task_specs().items() if name.startswith("demo_")])
def test_every_embedded_task_passes(name: str) -> None:
    report = check_task(name)
    assert report.name == f"task {name}"
    assert len(report.passed) == 8


@pytest.mark.parametrize("limit", [7, None])
def test_every_registered_task_whose_data_is_available_passes(limit: int | None) -> None:
    sources = dataclasses.replace(HERE, limit=limit)
    here = [spec for spec in task_specs().values() if is_here(spec) and spec.rows_total < 5_000]
    assert here
    for spec in here:
        check_task(spec, sources)


# ---------------------------------------------------------------------- one failed check each


@dataclass(frozen=True)
class Volumes(TaskSpec):
    """Volumes of random crystals."""

    def load(self, sources: DataSources) -> Task:
        crystals = random_crystals(0, self.rows_total)
        folds = (np.arange(self.rows_total) % 5).astype(np.int16)
        source = Source("test", "", "user")
        return Task(self.name, self.target, self.metric, crystals, crystals.volumes, folds, self.rows_total, source)

    def availability(self, sources: DataSources) -> Availability:
        return Availability(True, self.rows_total, "test")


def volumes(kind: type[Volumes] = Volumes, target: Target | None = None, metric: str = "mae") -> Volumes:
    return kind("volumes", target or Target("volume", Kind.REGRESSION, "Å³"), metric, True, 30)


class Missing(Volumes):
    def load(self, sources: DataSources) -> Task:
        raise FileNotFoundError("volumes.csv")


class Renamed(Volumes):
    def load(self, sources: DataSources) -> Task:
        return dataclasses.replace(super().load(sources), name="other")


class Promising(Volumes):
    def availability(self, sources: DataSources) -> Availability:
        return Availability(True, 31, "test")


class Nameless(Volumes):
    def load(self, sources: DataSources) -> Task:
        task = super().load(sources)
        ids = task.inputs.ids.copy()
        ids[3] = ""
        assert isinstance(task.inputs, Crystals)
        return dataclasses.replace(task, inputs=changed(task.inputs, ids=ids))


class Broken(Volumes):
    def load(self, sources: DataSources) -> Task:
        task = super().load(sources)
        assert isinstance(task.inputs, Crystals)
        coords = task.inputs.frac_coords.copy()
        coords[task.inputs.offsets[4]] = np.nan
        return dataclasses.replace(task, inputs=changed(task.inputs, frac_coords=coords))


class Overlapping(Task):
    def split(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        train, test = super().split(fold)
        return np.append(train, test[0]), test


class Leaking(Volumes):
    def load(self, sources: DataSources) -> Task:
        task = super().load(sources)
        return Overlapping(**{f.name: getattr(task, f.name) for f in dataclasses.fields(task)})


class Fickle(Volumes):
    def load(self, sources: DataSources) -> Task:
        task = super().load(sources)
        return dataclasses.replace(task, targets=task.targets + next(_COUNTER))


_COUNTER = itertools.count()
LOADS, DECLARED = "task can be loaded", "name, target, metric and rows are those declared"
TARGETS = "targets fit their kind, and the metric"
FAILING: list[tuple[Callable[[], TaskSpec], str, str]] = [
    (lambda: volumes(Missing), LOADS, "FileNotFoundError: volumes.csv"),
    (lambda: volumes(Renamed), DECLARED, "name is 'volumes' in the specification, and 'other' once loaded"),
    (lambda: volumes(Promising), "availability agrees with the rows loaded", "31 rows, 30 were loaded"),
    (lambda: volumes(Nameless), "ids are unique and not empty", "row 3 has an empty id"),
    (lambda: volumes(Broken), "crystals are valid", "crystal-4 has values that are not finite"),
    (lambda: volumes(metric="rocauc"), TARGETS, "the metric rocauc is not one for regression targets"),
    (
        lambda: volumes(target=Target("large", Kind.BINARY, classes=("false", "true")), metric="rocauc"),
        TARGETS,
        "classes are 0 to 1",
    ),
    (lambda: volumes(Leaking), "folds divide the rows", "the parts of fold 0 overlap or lack rows"),
    (lambda: volumes(Fickle), "digest is reproducible", "so no result could be reproduced"),
]


@pytest.mark.parametrize(("spec", "check", "reason"), FAILING)
def test_the_failed_check_is_named(spec: Callable[[], TaskSpec], check: str, reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_task(spec())
    assert list(caught.value.failed) == [check]
    assert reason in caught.value.failed[check]
    if check == LOADS:
        assert len(caught.value.skipped) == 7


def test_every_check_has_a_task_that_fails_it() -> None:
    assert {check for _, check, _ in FAILING} == set(check_task(volumes()).passed)


def test_a_task_file_is_checked(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("not a task")
    with pytest.raises(Exception, match=r"bad\.toml"):
        check_task(str(tmp_path / "bad.toml"))


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="demo_bulk_modulus"):
        check_task("demo_bulk_modulu")
