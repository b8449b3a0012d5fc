from __future__ import annotations

import dataclasses
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from helpers import SMALL_CGCNN, changed, formulas_task, known_structures, random_crystals, supercells, tiny_task
from memory_model import Memory, OtherMemory, run, spec_of

from crystalbench.data.crystals import concatenate
from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import View, get_view
from crystalbench.errors import ConfigError, DataError
from crystalbench.models import Model, Needs, get_model, model_names
from crystalbench.models.model import hyperparameter_types
from crystalbench.representations import MagpieFeatures
from crystalbench.results.spec import ProtocolSpec
from crystalbench.runs import waiting
from crystalbench.runs.execute import execute
from crystalbench.runs.resources import Resources
from crystalbench.runs.visible import VisibleTask
from crystalbench.sees import Sees
from crystalbench.targets import Kind


@pytest.fixture(autouse=True)
def _forget() -> None:
    for kept in (Memory.fits, Memory.spec, Memory.seeds):
        kept.clear()


class Bare(Memory):
    """Returns a list instead of predictions."""

    def predict(self, samples: Samples) -> Predictions:
        return [self.mean] * len(samples)  # type: ignore[return-value]


def test_a_model_that_returns_no_predictions_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Bare\.predict returns list; .*Predictions"):
        run(tiny_task(), Bare)


# ---------------------------------------------------------------------- what a model sees


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_model_sees_test_rows_only_at_the_end_and_without_targets(kind: Kind, fold: int) -> None:
    task = tiny_task(kind)
    run(task, fold=fold, protocol=ProtocolSpec(inner_folds=4, ensemble=2))
    train_rows, test_rows = task.split(fold)
    hidden = set(task.inputs.ids[test_rows])
    assert len(Memory.fits) == len(Memory.spec) == 2
    for train, valid in Memory.fits:
        shown = [*train.ids, *valid.ids]
        assert hidden.isdisjoint(shown)
        assert sorted(shown) == sorted(task.inputs.ids[train_rows])
        target_of = dict(zip(task.inputs.ids, task.targets, strict=True))
        for part in (train, valid):
            assert part.targets.tolist() == [target_of[i] for i in part.ids]
    for samples in Memory.spec:
        assert set(samples.ids) == hidden
        assert not samples.has_targets
        with pytest.raises(DataError, match="have no targets"):
            _ = samples.targets


@pytest.mark.parametrize("name", model_names())
def test_predictions_do_not_depend_on_the_targets_of_the_test_part(name: str) -> None:
    task = tiny_task()
    secret = dataclasses.replace(task, targets=np.where(task.folds == 0, 1e3, task.targets))
    model = get_model(name)
    quick: dict[str, Any] = {"epochs": 2, "trees": 5, "width": 8, "layers": 1, "head_width": 8}
    parameters = {key: value for key, value in quick.items() if key in hyperparameter_types(model)}
    if "members" in hyperparameter_types(model):
        parameters["members"] = "magpie_forest(trees=5) + composition_attention(epochs=2, width=8)"
    spec = spec_of(task, name, parameters=parameters)
    one, other = (execute(spec, name, model, t, Resources()) for t in (task, secret))
    assert one.predictions.values == other.predictions.values
    assert one.scores["mae"] != other.scores["mae"]


def test_every_model_and_seed_gets_the_same_inner_split() -> None:
    task = tiny_task()
    run(task)
    run(task, seed=1)
    execute(spec_of(task, "other", parameters={"sigma": 1.0}), "Other", OtherMemory, task, Resources())
    run(task, view="anonymous")
    parts = [(train.ids.tolist(), valid.ids.tolist()) for train, valid in Memory.fits]
    assert all(part == parts[0] for part in parts)
    assert len(set(Memory.seeds)) == 4  # but every run has its own seed


def test_the_view_is_all_that_a_model_sees() -> None:
    run(tiny_task(), view="anonymous")
    (train, valid), test = Memory.fits[0], Memory.spec[0]
    for samples in (train, valid, test):
        labels = np.unique(samples.crystals.numbers)
        assert len(labels) <= 3  # of crystals with up to three atoms
        seen = samples.represent(MagpieFeatures()).values["features"]
        assert len(np.unique(seen, axis=0)) <= 4  # A, AB, A2B, ABC


@pytest.mark.parametrize(
    ("name", "parameters", "view", "sees"),
    [
        ("dummy", {}, "full", "nothing"),
        ("magpie_forest", {"trees": 3}, "full", "composition"),
        ("magpie_forest", {"trees": 3}, "anonymous+unit_density", "nothing"),
        ("descriptor_forest", {"trees": 3, "bank": "atom_count"}, "full", "structure"),
        ("cgcnn", {"epochs": 1}, "full", "structure_and_chemistry"),
        ("cgcnn", {"epochs": 1}, "anonymous", "structure"),
        ("cgcnn", {"epochs": 1}, "composition_only", "composition"),
    ],
)
def test_the_record_says_what_the_model_saw_under_the_view(
    name: str, parameters: dict[str, Any], view: str, sees: str
) -> None:
    model = get_model(name)
    configuration = model.from_configuration(parameters).configuration()
    task = tiny_task()
    spec = spec_of(task, name, parameters=configuration, view=view)
    assert execute(spec, name, model, task, Resources()).sees == sees


def test_what_a_model_sees_of_compositions_or_under_an_own_view() -> None:
    class Claims(Memory):
        sees = Sees.STRUCTURE_AND_CHEMISTRY

    bare = View("bare", "something", lambda crystals: crystals)
    task = tiny_task()
    assert run(formulas_task(), type("C", (Claims,), {"needs": Needs.COMPOSITION})).sees == "composition"
    shown = VisibleTask.of(task, bare, Claims.needs)
    assert execute(spec_of(task, view="bare"), "x", Claims, task, Resources(), shown=shown).sees == "undeclared"
    assert run(task).sees == "undeclared"


def test_a_model_that_declares_something_else_is_named() -> None:
    model = type("Odd", (Memory,), {"sees": "structure"})
    with pytest.raises(ConfigError, match=r"Odd\.sees is 'structure'; it must be one of Sees\.NOTHING"):
        run(tiny_task(), model)


def test_models_that_need_compositions_see_nothing_else() -> None:
    @dataclass
    class Compositional(Memory):
        needs: ClassVar[Needs] = Needs.COMPOSITION

    run(tiny_task(), Compositional)
    for samples in (*Memory.fits[0], Memory.spec[0]):
        with pytest.raises(DataError, match="compositions only"):
            _ = samples.crystals
    run(formulas_task(), Compositional)


def test_missing_structures_are_an_error() -> None:
    with pytest.raises(DataError, match="formulas: has compositions only; this model needs structures"):
        run(formulas_task())


# ---------------------------------------------------------------------- representations shared between runs


def test_representations_are_computed_once_and_cost_every_run_that_uses_them() -> None:
    task = tiny_task()
    forest, dummy = get_model("magpie_forest"), get_model("dummy")
    shown = VisibleTask.of(task, get_view("full"), Needs.COMPOSITION)

    def seconds(model: type[Model], fold: int, parameters: dict[str, Any]) -> float:
        spec = spec_of(task, model.__name__, fold=fold, parameters=parameters)
        return execute(spec, "x", model, task, Resources(), shown=shown).seconds.featurise

    assert seconds(dummy, 0, {}) == 0
    first = seconds(forest, 0, {"trees": 2})
    assert first > 0
    assert seconds(forest, 1, {"trees": 2}) == first
    assert seconds(dummy, 1, {}) == 0  # it uses none, whatever was computed before


def test_reading_from_the_cache_does_not_shorten_the_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path))

    @dataclass
    class Slow(Memory):
        def fit(self, train: Samples, valid: Samples) -> Self:
            train.represent(MagpieFeatures())
            time.sleep(0.05)
            return super().fit(train, valid)

    assert run(tiny_task(), Slow).seconds.fit >= 0.05
    (meta,) = tmp_path.glob("representations/*/meta.json")
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "seconds": 1000.0}))
    seconds = run(tiny_task(), Slow).seconds
    assert seconds.featurise == 1000
    assert 0.05 <= seconds.fit < 60


@pytest.mark.parametrize("view", ["full", "anonymous"])
def test_runs_over_quotient_graphs_equal_those_over_full_graphs(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from crystalbench.models.cgcnn import CGCNN  # here, because torch takes a while

    crystals = concatenate([known_structures(), supercells(known_structures(), (1, 1, 2)), random_crystals(0, 7)])
    crystals = changed(crystals, ids=np.arange(len(crystals)).astype(np.str_))
    folds = (np.arange(len(crystals)) % 2).astype(np.int16)
    task = dataclasses.replace(
        tiny_task(n=len(crystals)),
        inputs=crystals,
        folds=folds,
        targets=np.log(crystals.volumes / crystals.atom_counts),
    )
    # AdamW turns gradients that are only round-off into full steps, so the learning rate is small.
    parameters = CGCNN(**SMALL_CGCNN, learning_rate=1e-5).configuration()
    spec = spec_of(task, "cgcnn", parameters=parameters, view=view, protocol=ProtocolSpec(inner_folds=4, ensemble=2))
    values = []
    for merged in (True, False):
        monkeypatch.setattr(CGCNN, "merges_equal_atoms", merged)
        values.append(np.array(execute(spec, "cgcnn", CGCNN, task, Resources()).predictions.values))
    assert values[0].std() > 1e-3
    np.testing.assert_allclose(*values, rtol=0, atol=5e-3 * values[0].std())


def test_a_record_says_how_long_the_fit_waited_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members of an ensemble wait for 1 and 2 s; an unknown wait stays unknown."""
    task, times = tiny_task(), iter([10.0, 11.0, 20.0, 22.0, None, 5.0, 1.0, 2.0])
    monkeypatch.setattr("crystalbench.runs.execute.waited_seconds", lambda: next(times))
    monkeypatch.setattr("time.perf_counter", itertools.count(0.0, 100.0).__next__)
    protocol = ProtocolSpec(inner_folds=4, ensemble=2)
    assert run(task, protocol=protocol).seconds.fit_waited == pytest.approx(3.0)
    assert run(task, protocol=protocol).seconds.fit_waited is None


def test_waiting_is_measured_where_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = tmp_path / "schedstat"
    monkeypatch.setattr(waiting, "_STATISTICS", statistics)
    assert waiting.waited_seconds() is None
    statistics.write_text("1877002487 1122758739 266\n")
    assert waiting.waited_seconds() == pytest.approx(1.122758739)
    statistics.write_text("?\n")
    assert waiting.waited_seconds() is None


def test_a_record_states_what_the_model_declares_and_how_many_processes_computed() -> None:
    class Chosen(Memory):
        defaults_chosen_on = frozenset({"b", "a"})
        pretrained_on = frozenset({"MPtrj", "Alexandria"})

    task = tiny_task()
    record = execute(spec_of(task), "Chosen", Chosen, task, Resources(concurrent=3))
    assert record.defaults_chosen_on == ["a", "b"]
    assert record.pretrained_on == ["Alexandria", "MPtrj"]
    assert record.concurrent == 3
    assert run(task).defaults_chosen_on == []
    assert run(task).concurrent == 1
