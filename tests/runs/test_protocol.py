from __future__ import annotations

import numpy as np
import pytest
from helpers import repeatable, spec, tiny_task
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.errors import ConfigError, DataError
from crystalbench.models.dummy import Dummy
from crystalbench.results.record import Record
from crystalbench.results.spec import ProtocolSpec, TuningSpec
from crystalbench.results.study import study_spec
from crystalbench.runs.execute import execute
from crystalbench.runs.protocol import inner_splits, training_rows, tuning_splits
from crystalbench.runs.resources import Resources
from crystalbench.targets import Kind

VALUES = np.linspace(0, 1, 53)


def splits(
    task: str = "task", fold: int = 0, targets: np.ndarray = VALUES, kind: Kind = Kind.REGRESSION, **protocol: int
):  # type: ignore[no-untyped-def]
    return inner_splits(task, fold, targets, kind, ProtocolSpec(**{"inner_folds": 5, **protocol}))


@repeatable(30)
@given(n=st.integers(2, 90), parts=st.integers(2, 10), data=st.data())
def test_every_member_validates_on_a_different_part(n: int, parts: int, data: st.DataObject) -> None:
    parts = min(n, parts)
    members = data.draw(st.integers(1, parts))
    made = splits(targets=np.zeros(n), inner_folds=parts, ensemble=members)
    assert len(made) == members
    for train, valid in made:
        assert sorted([*train, *valid]) == list(range(n))
        assert n // parts <= len(valid) <= n // parts + 1
        assert (np.diff(train) > 0).all()
        assert (np.diff(valid) > 0).all()
    validated = np.concatenate([valid for _, valid in made])
    assert len(set(validated)) == len(validated)
    if members == parts:
        assert len(validated) == n


def test_the_split_depends_on_task_and_fold_only() -> None:
    first = splits()[0][1]
    assert np.array_equal(splits(targets=-3 * VALUES)[0][1], first)
    assert np.array_equal(splits(ensemble=5)[0][1], first)
    assert not np.array_equal(splits(fold=1)[0][1], first)
    assert not np.array_equal(splits(task="other")[0][1], first)


def test_the_split_does_not_change_between_versions() -> None:
    # Records made with another split could not be compared with old ones.
    assert splits()[0][1].tolist() == [1, 2, 5, 9, 13, 18, 29, 37, 40, 46, 52]


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.MULTICLASS])
def test_classes_are_stratified_if_each_has_enough_rows(kind: Kind) -> None:
    targets = np.repeat([0.0, 1.0], [40, 10])
    for _, valid in splits(targets=targets, kind=kind, ensemble=5):
        assert np.bincount(targets[valid].astype(int)).tolist() == [8, 2]


def test_a_rare_class_is_accepted() -> None:
    targets = np.repeat([0.0, 1.0, 2.0], [30, 8, 2])
    made = splits(targets=targets, kind=Kind.MULTICLASS, ensemble=5)
    assert sorted(np.concatenate([valid for _, valid in made])) == list(range(40))


@pytest.mark.parametrize(
    "protocol", [{"inner_folds": 1}, {"inner_folds": 0}, {"ensemble": 0}, {"ensemble": 6}, {"ensemble": -1}], ids=str
)
def test_impossible_protocols_are_refused(protocol: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="inner_folds must be at least 2, and ensemble between 1 and inner_folds"):
        splits(**protocol)


def test_too_few_rows_are_reported_with_task_and_fold() -> None:
    with pytest.raises(DataError, match="tiny, fold 3: 4 training rows, too few for 5 inner folds"):
        splits("tiny", 3, np.zeros(4))


# ---------------------------------------------------------------------- tuning


@repeatable(30)
@given(n=st.integers(8, 90), parts=st.integers(2, 6), data=st.data())
def test_tuning_splits_the_training_part_into_three(n: int, parts: int, data: st.DataObject) -> None:
    judges = data.draw(st.integers(1, parts))
    how = TuningSpec(trials=1, inner_folds=parts, splits=judges)
    made = tuning_splits("task", 0, VALUES[np.arange(n) % 53], Kind.REGRESSION, how, ProtocolSpec(inner_folds=2))
    assert len(made) == judges
    for split in made:
        assert sorted([*split.fit, *split.valid, *split.selection]) == list(range(n))
        assert n // parts <= len(split.selection) <= n // parts + 1
        assert min(len(split.fit), len(split.valid)) >= 1
    judged = np.concatenate([split.selection for split in made])
    assert len(set(judged.tolist())) == len(judged)


def test_tuning_splits_depend_on_task_and_fold_only() -> None:
    def made(task: str = "task", fold: int = 0, ensemble: int = 1) -> list[list[int]]:
        how = TuningSpec(trials=1, inner_folds=4, splits=2)
        protocol = ProtocolSpec(inner_folds=5, ensemble=ensemble)
        found = tuning_splits(task, fold, VALUES, Kind.REGRESSION, how, protocol)
        return [part.tolist() for split in found for part in (split.fit, split.valid, split.selection)]

    assert made() == made(ensemble=3)
    assert made() != made(fold=1)
    assert made() != made("other")


def test_more_scoring_folds_than_inner_folds_are_refused() -> None:
    how = TuningSpec(trials=1, inner_folds=3, splits=4)
    with pytest.raises(ConfigError, match="ensemble between 1 and inner_folds"):
        tuning_splits("task", 0, VALUES, Kind.REGRESSION, how, ProtocolSpec())


# ---------------------------------------------------------------------- fractions of the training part


def rows_of(fraction: float | None, **changes: object) -> list[int]:
    task = tiny_task(n=90)
    return training_rows(task, spec(task=task.name, train_fraction=fraction, **changes)).tolist()


def test_fractions_are_nested_and_of_the_training_part() -> None:
    everything = rows_of(None)
    parts = [rows_of(fraction) for fraction in (0.1, 0.2, 0.5, 0.999)]
    assert [len(part) for part in parts] == [6, 12, 30, 60]
    for smaller, larger in zip(parts, [*parts[1:], everything], strict=True):
        assert set(smaller) <= set(larger)
        assert smaller == sorted(smaller)
    assert everything == tiny_task(n=90).split(0)[0].tolist()


def test_the_rows_depend_on_task_fold_and_seed_only() -> None:
    assert rows_of(0.5) == rows_of(0.5, model="cgcnn", parameters={}, view="anonymous")
    assert rows_of(0.5) != rows_of(0.5, seed=1)
    assert set(rows_of(0.5)) != set(rows_of(0.5, fold=1))
    assert rows_of(0.1) == [20, 52, 56, 65, 86, 88]  # the same on every machine


def test_every_fraction_has_the_classes_in_proportion() -> None:
    task = tiny_task(Kind.MULTICLASS, n=300)
    whole = np.bincount(task.targets[task.split(0)[0]].astype(int))
    for fraction in (0.1, 0.3, 0.7):
        part = training_rows(task, spec(task=task.name, train_fraction=fraction))
        counts = np.bincount(task.targets[part].astype(int), minlength=len(whole))
        assert np.abs(counts - fraction * whole).max() <= 1.5


def test_a_run_learns_from_the_fraction_and_is_tested_on_the_fixed_part() -> None:
    task = tiny_task(n=90)

    def record_of(fraction: float | None) -> Record:
        made = spec(task=task.name, data=task.digest, parameters={}, train_fraction=fraction)
        return execute(made, "dummy", Dummy, task, Resources())

    part, whole = record_of(0.5), record_of(None)
    assert part.rows.train + part.rows.valid == 30
    assert whole.rows.train + whole.rows.valid == 60
    assert part.predictions.ids == whole.predictions.ids
    median = np.median(task.targets[training_rows(task, part.spec)])
    mean = np.mean(task.targets[training_rows(task, part.spec)])
    assert part.predictions.values[0] in (pytest.approx(median), pytest.approx(mean))
    assert "--train-fraction 0.5" in part.command
    assert "--train-fraction" not in whole.command


def test_studies_of_fractions_keep_the_seed_that_chooses_their_rows() -> None:
    tuned = {"tuning": TuningSpec(trials=3), "seed": 2}
    assert study_spec(spec(**tuned), 0).seed == 0
    assert study_spec(spec(**tuned, train_fraction=0.5), 0).seed == 2
