"""No test row of a fold reaches anything that learns: fit, tuning, normalisation, imputation, early stopping.

Two detectors look for leaks: a model that memorises all rows it sees would get a perfect score, and a log of the rows
that are read in each phase would contain their ids. The last tests introduce leaks, which the detectors must find.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pytest
from helpers import SMALL_CGCNN, tiny_task
from optuna.distributions import IntDistribution

from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import full
from crystalbench.models import Model, Needs, get_model
from crystalbench.representations import Representation
from crystalbench.results.record import Record, TuningResult
from crystalbench.results.spec import ProtocolSpec, RunSpec, TuningSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study
from crystalbench.runs.execute import Resources, VisibleTask, execute
from crystalbench.runs.plan import Run
from crystalbench.runs.tune import Tuner
from crystalbench.targets import Kind
from crystalbench.tasks import Task
from crystalbench.tuning import Storage, digest_of, space_of

FOLDS = 3
FAR = 1e6


@dataclass
class Memory(Model):
    """Predicts the target of each row that it has seen with its target, in any fit, and `FAR` for all others."""

    needs: ClassVar[Needs] = Needs.STRUCTURE
    known: ClassVar[dict[str, float]] = {}
    dial: Annotated[int, IntDistribution(1, 1000)] = 1

    def fit(self, train: Samples, valid: Samples) -> Self:
        for part in (train, valid):
            self.known.update(zip(part.ids.tolist(), part.targets.tolist(), strict=True))
        return self

    def predict(self, samples: Samples) -> Predictions:
        if samples.has_targets:
            self.known.update(zip(samples.ids.tolist(), samples.targets.tolist(), strict=True))
        return Predictions(np.array([self.known.get(i, FAR) for i in samples.ids.tolist()]))


@dataclass
class Seen:
    """Ids of the rows that were read during fit and during predict."""

    fit: set[str]
    predict: set[str]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Logs every row that a model reads in any way, and clears the memory of `Memory`."""
    notes, phase = Seen(set(), set()), ["predict"]
    Memory.known.clear()

    def noting(samples: Samples) -> None:
        getattr(notes, phase[0]).update(samples._inputs.ids.tolist())

    def read(name: str) -> property:
        original: Any = vars(Samples)[name].fget

        def getter(self: Samples) -> Any:
            noting(self)
            return original(self)

        return property(getter)

    represent = Samples.represent

    def represented(self: Samples, representation: Representation) -> Any:
        noting(self)
        return represent(self, representation)

    for name in ("ids", "inputs", "crystals", "compositions", "targets"):
        monkeypatch.setattr(Samples, name, read(name))
    monkeypatch.setattr(Samples, "represent", represented)
    for model in MODELS:
        fit = vars(model).get("fit") or model.fit

        def fitted(self: Any, train: Samples, valid: Samples, fit: Any = fit) -> Any:
            phase[0] = "fit"
            try:
                return fit(self, train, valid)
            finally:
                phase[0] = "predict"

        monkeypatch.setattr(model, "fit", fitted)
    yield notes


def run_of(task: Task, model: type[Model], fold: int, scheme: str = "per_fold", **parameters: Any) -> Run:
    space = space_of(model, task.target.kind, parameters)
    how = TuningSpec(trials=3, inner_folds=3, splits=2, scheme=scheme, space=digest_of(space))  # type: ignore[arg-type]
    spec = RunSpec(
        task=task.name,
        data=task.digest,
        fold=fold,
        model=model.__name__,
        model_version=1,
        parameters=model.from_configuration(parameters).configuration(),
        protocol=ProtocolSpec(inner_folds=3, ensemble=2),
        tuning=how,
    )
    return Run(spec, model.__name__, model, task, full, space)


def done(folder: Path, run: Run) -> tuple[Record, Study]:
    """Tune and execute a run, with the functions that the scheduler calls."""
    tuner = Tuner(StudyStore(folder), Storage.below(folder), Resources(), 0.0)
    visible = VisibleTask.of(run.task, run.view, run.model.needs)
    found: TuningResult = tuner.tune(run, visible)
    (study,) = [s for s in StudyStore(folder).read_all()[0] if s.name == found.study]
    return execute(run.spec, run.label, run.model, run.task, Resources(), shown=visible, tuned=found), study


MODELS = [Memory, *map(get_model, ("magpie_boosting", "descriptor_forest", "cgcnn", "hybrid"))]
QUICK: dict[str, dict[str, Any]] = {
    "Memory": {},
    "MagpieBoosting": {"rounds": 5},  # which validates
    "DescriptorForest": {"trees": 5},
    "CGCNN": {**SMALL_CGCNN, "epochs": 1},
    "Hybrid": {**SMALL_CGCNN, "epochs": 1},
}


def test_a_memorising_model_knows_no_test_row_and_no_selection_row(seen: Seen, tmp_path: Path) -> None:
    task = tiny_task(Kind.REGRESSION, 30, FOLDS)
    for fold in range(FOLDS):
        Memory.known.clear()
        record, study = done(tmp_path, run_of(task, Memory, fold))
        assert record.predictions.values == [FAR] * 10
        assert set(Memory.known) == {str(i) for i in task.inputs.ids[task.split(fold)[0]]}
        # The first split has fitted the selection rows of the second one, so only the first error is large.
        assert study.trials[0].scores[0] > FAR / 2, "the selection rows of the first split were known"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_test_row_is_read_before_the_final_prediction(seen: Seen, tmp_path: Path, model: type[Model]) -> None:
    task = tiny_task(Kind.REGRESSION, 30, FOLDS)
    fold = 1
    train, test = ({str(i) for i in task.inputs.ids[rows]} for rows in task.split(fold))
    run = run_of(task, model, fold, **QUICK[model.__name__])
    tuner = Tuner(StudyStore(tmp_path), Storage.below(tmp_path), Resources(), 0.0)
    visible = VisibleTask.of(task, run.view, model.needs)
    found = tuner.tune(run, visible)
    assert found.failed == 0
    assert seen.fit == train
    assert not seen.predict & test
    execute(run.spec, run.label, model, task, Resources(), shown=visible, tuned=found)
    assert seen.fit == train
    assert seen.predict >= test


def test_tuning_on_the_first_fold_has_seen_the_test_rows_of_the_others(seen: Seen, tmp_path: Path) -> None:
    # The meaning of the label "tuned on fold 0": the search has seen them, the fit of the run has not.
    task = tiny_task(Kind.REGRESSION, 30, FOLDS)
    run = run_of(task, Memory, 1, "first_fold")
    test = {str(i) for i in task.inputs.ids[task.split(1)[1]]}
    tuner = Tuner(StudyStore(tmp_path), Storage.below(tmp_path), Resources(), 0.0)
    found = tuner.tune(run, VisibleTask.of(task, run.view, Memory.needs))
    assert found.fold == 0
    assert seen.fit == {str(i) for i in task.inputs.ids[task.split(0)[0]]}
    assert test <= seen.fit
    seen.fit.clear()
    Memory.known.clear()
    execute(run.spec, run.label, Memory, task, Resources(), tuned=found)
    assert not test & seen.fit


# ---------------------------------------------------------------------- introduced leaks


def leaking_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training part contains a test row."""
    split = Task.split

    def leaks(self: Task, fold: int) -> Any:
        train, test = split(self, fold)
        return np.append(train, test[0]), test

    monkeypatch.setattr(Task, "split", leaks)


def leaking_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning sees all rows, the run only its training part."""
    samples = VisibleTask.samples

    def all_rows(self: VisibleTask, rows: Any, *, with_targets: bool) -> Samples:
        everything = np.concatenate([rows, np.setdiff1d(np.arange(30), rows)]) if len(rows) == 20 else rows
        return samples(self, everything, with_targets=with_targets)

    monkeypatch.setattr(VisibleTask, "samples", all_rows)


def leaking_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows to predict have their targets."""
    samples = VisibleTask.samples
    monkeypatch.setattr(
        VisibleTask, "samples", lambda self, rows, *, with_targets: samples(self, rows, with_targets=True)
    )


def leaking_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The selection rows of a trial have their targets."""
    monkeypatch.setattr(Samples, "to_predict", lambda self: self)


def leaking_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validation rows of a run contain a test row."""
    samples = VisibleTask.samples

    def one_more(self: VisibleTask, rows: Any, *, with_targets: bool) -> Samples:
        if with_targets and len(rows) < 8:  # a third of twenty
            (fold,) = set(range(FOLDS)) - set(self.task.folds[rows].tolist())
            rows = np.append(rows, self.task.split(fold)[1][0])
        return samples(self, rows, with_targets=with_targets)

    monkeypatch.setattr(VisibleTask, "samples", one_more)


LEAKS = [leaking_split, leaking_tuning, leaking_targets, leaking_selection, leaking_validation]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_leak_is_found(seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak: Any) -> None:
    leak(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_memorising_model_knows_no_test_row_and_no_selection_row(seen, tmp_path)


@pytest.mark.parametrize("leak", [leaking_split, leaking_tuning], ids=lambda leak: leak.__name__)
def test_a_leak_is_found_in_a_registered_model(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak: Any
) -> None:
    leak(monkeypatch)
    with pytest.raises(AssertionError):
        test_no_test_row_is_read_before_the_final_prediction(seen, tmp_path, get_model("magpie_boosting"))
