"""No test row of a fold reaches anything that learns: fit, tuning, normalisation, imputation, early stopping.

A model that memorises whatever it was shown finds a leak by its perfect score, and a list of the rows that were read
in each phase finds it by their ids. The last tests make engines that do leak, which both have to find.
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
    """Tells the target of every row it was ever shown with one, in this fit or another, and is far off for others."""

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
    """Ids of the rows that were read, and in which phase: fit or predict."""

    fit: set[str]
    predict: set[str]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Notes every row that any model reads in any way, and forgets what was memorised."""
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
    space = space_of(model, parameters)
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
    """A tuned run, by what the engine calls."""
    tuner = Tuner(StudyStore(folder), Storage.below(folder), Resources(), 0.0)
    shown = VisibleTask.of(run.task, run.view, run.model.needs)
    found: TuningResult = tuner.tune(run, shown)
    (study,) = [s for s in StudyStore(folder).read_all()[0] if s.name == found.study]
    return execute(run.spec, run.label, run.model, run.task, Resources(), shown=shown, tuned=found), study


MODELS = [Memory, *map(get_model, ("magpie_boosting", "descriptor_forest", "cgcnn", "hybrid"))]
QUICK: dict[str, dict[str, Any]] = {
    "Memory": {},
    "MagpieBoosting": {"rounds": 5},  # which validates
    "DescriptorForest": {"trees": 5},
    "CGCNN": {**SMALL_CGCNN, "epochs": 1},
    "Hybrid": {**SMALL_CGCNN, "epochs": 1},
}


def test_who_memorises_knows_no_test_row_and_no_judged_row(seen: Seen, tmp_path: Path) -> None:
    task = tiny_task(Kind.REGRESSION, 30, FOLDS)
    for fold in range(FOLDS):
        Memory.known.clear()
        record, study = done(tmp_path, run_of(task, Memory, fold))
        assert record.predictions.values == [FAR] * 10
        assert set(Memory.known) == {str(i) for i in task.inputs.ids[task.split(fold)[0]]}
        assert study.trials[0].value is not None
        # Rows that judge second were fitted first.
        assert study.trials[0].value > FAR / 3, "the rows that judged first were known"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_test_row_is_read_before_the_final_prediction(seen: Seen, tmp_path: Path, model: type[Model]) -> None:
    task = tiny_task(Kind.REGRESSION, 30, FOLDS)
    fold = 1
    train, test = ({str(i) for i in task.inputs.ids[rows]} for rows in task.split(fold))
    run = run_of(task, model, fold, **QUICK[model.__name__])
    tuner = Tuner(StudyStore(tmp_path), Storage.below(tmp_path), Resources(), 0.0)
    shown = VisibleTask.of(task, run.view, model.needs)
    found = tuner.tune(run, shown)
    assert found.failed == 0
    assert seen.fit == train
    assert not seen.predict & test
    execute(run.spec, run.label, model, task, Resources(), shown=shown, tuned=found)
    assert seen.fit == train
    assert seen.predict >= test


def test_tuning_on_the_first_fold_has_seen_the_test_rows_of_the_others(seen: Seen, tmp_path: Path) -> None:
    # What the label "tuned on fold 0" stands for: the search has, the fit that predicts has not.
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


# ---------------------------------------------------------------------- engines that leak


def leaking_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """One test row comes to the training part."""
    split = Task.split

    def leaks(self: Task, fold: int) -> Any:
        train, test = split(self, fold)
        return np.append(train, test[0]), test

    monkeypatch.setattr(Task, "split", leaks)


def leaking_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning is given all rows, the run its own."""
    samples = VisibleTask.samples

    def all_rows(self: VisibleTask, rows: Any, *, with_targets: bool) -> Samples:
        everything = np.concatenate([rows, np.setdiff1d(np.arange(30), rows)]) if len(rows) == 20 else rows
        return samples(self, everything, with_targets=with_targets)

    monkeypatch.setattr(VisibleTask, "samples", all_rows)


def leaking_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows to predict carry their targets."""
    samples = VisibleTask.samples
    monkeypatch.setattr(
        VisibleTask, "samples", lambda self, rows, *, with_targets: samples(self, rows, with_targets=True)
    )


def leaking_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judged rows of a trial carry their targets."""
    monkeypatch.setattr(Samples, "to_predict", lambda self: self)


def leaking_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test row comes to the rows that a run validates, and that alone."""
    samples = VisibleTask.samples

    def one_more(self: VisibleTask, rows: Any, *, with_targets: bool) -> Samples:
        if with_targets and len(rows) < 8:  # a third of twenty
            (fold,) = set(range(FOLDS)) - set(self.task.folds[rows].tolist())
            rows = np.append(rows, self.task.split(fold)[1][0])
        return samples(self, rows, with_targets=with_targets)

    monkeypatch.setattr(VisibleTask, "samples", one_more)


LEAKS = [leaking_split, leaking_tuning, leaking_targets, leaking_judgement, leaking_validation]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_leak_would_be_found(seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak: Any) -> None:
    leak(monkeypatch)
    with pytest.raises(AssertionError):
        test_who_memorises_knows_no_test_row_and_no_judged_row(seen, tmp_path)


@pytest.mark.parametrize("leak", [leaking_split, leaking_tuning], ids=lambda leak: leak.__name__)
def test_a_leak_would_be_found_in_a_real_model(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak: Any
) -> None:
    leak(monkeypatch)
    with pytest.raises(AssertionError):
        test_no_test_row_is_read_before_the_final_prediction(seen, tmp_path, get_model("magpie_boosting"))
