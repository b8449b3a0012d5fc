from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from helpers import SMALL_CGCNN, changed, formulas_task, known_structures, random_crystals, supercells, tiny_task

from crystalbench.data.crystals import concatenate
from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import View, get_view
from crystalbench.errors import ConfigError, DataError
from crystalbench.evaluation.metrics import score
from crystalbench.models import Model, Needs, get_model, model_names
from crystalbench.models.model import Phase, hyperparameter_types
from crystalbench.representations import MagpieFeatures
from crystalbench.results.record import Record
from crystalbench.results.spec import ProtocolSpec, RunSpec
from crystalbench.results.store import RecordStore
from crystalbench.runs.command import repeat_command
from crystalbench.runs.execute import combine, execute
from crystalbench.runs.executors import SerialExecutor
from crystalbench.runs.plan import Selection, make_plan
from crystalbench.runs.resources import Resources
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import run_plan
from crystalbench.runs.suite import Suite
from crystalbench.runs.visible import VisibleTask
from crystalbench.sees import Sees
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Source, Task


@dataclass
class Memory(Model):
    """Remembers all rows that it sees."""

    needs: ClassVar[Needs] = Needs.STRUCTURE
    fits: ClassVar[list[tuple[Samples, Samples]]] = []
    spec: ClassVar[list[Samples]] = []
    seeds: ClassVar[list[int]] = []
    sigma: float = 0.0

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.fits.append((train, valid))
        self.seeds.append(self.runtime.seed)
        self.runtime.progress(1, 2, loss=0.5)
        self.runtime.progress(2, 2, loss=0.25)
        self.mean = float(train.targets.mean())
        return self

    def predict(self, samples: Samples) -> Predictions:
        self.spec.append(samples)
        if samples.target.kind is Kind.REGRESSION:
            std = np.full(len(samples), self.sigma) if self.sigma else None
            return Predictions(np.full(len(samples), self.mean), std)
        classes = len(samples.target.classes)
        shape = (len(samples), classes) if samples.target.kind is Kind.MULTICLASS else (len(samples),)
        return Predictions(np.full(shape, 1 / classes))

    @property
    def n_parameters(self) -> int:
        return 7


@dataclass
class OtherMemory(Memory):
    """The same under another name."""


@pytest.fixture(autouse=True)
def _forget() -> None:
    for kept in (Memory.fits, Memory.spec, Memory.seeds):
        kept.clear()


def spec_of(task: Task, model: str = "memory", **changes: Any) -> RunSpec:
    plain: dict[str, Any] = {"fold": 0, "parameters": {}, "protocol": ProtocolSpec(inner_folds=4)}
    return RunSpec(task=task.name, data=task.digest, model=model, model_version=1, **{**plain, **changes})


def run(task: Task, model: type[Model] = Memory, **changes: Any) -> Record:
    return execute(spec_of(task, **changes), "Memory", model, task, Resources())


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


# ---------------------------------------------------------------------- the record


def test_the_record_is_complete() -> None:
    task = tiny_task(n=32, total=100)
    record = run(task, protocol=ProtocolSpec(inner_folds=4, ensemble=3))
    train_rows, test_rows = task.split(0)
    assert record.spec == spec_of(task, protocol=ProtocolSpec(inner_folds=4, ensemble=3))
    assert record.predictions.ids == task.inputs.ids[test_rows].tolist()
    assert record.predictions.targets == task.targets[test_rows].tolist()
    assert record.scores == pytest.approx(
        score("regression", task.targets[test_rows], np.array(record.predictions.values))
    )
    rows = record.rows
    assert rows.train + rows.valid == len(train_rows)
    assert (rows.test, rows.task, rows.task_total) == (11, 32, 100)
    assert (record.metric, record.kind, record.unit, record.label) == ("mae", "regression", "eV", "Memory")
    assert record.n_parameters == 3 * 7
    assert (record.device, record.threads) == ("cpu", 1)
    assert record.seconds.featurise == 0
    assert 0 <= record.seconds.fit < 60
    assert 0 <= record.seconds.predict < 60
    assert record.peak_memory_mb > 10
    assert record.source.name == "tiny.parquet"
    assert {"python", "system", "processor", "packages", "git"} == set(record.environment)
    assert record.environment["packages"]["numpy"] == np.__version__
    assert record.model_source == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    finished = datetime.datetime.fromisoformat(record.finished)
    assert abs(datetime.datetime.now(datetime.UTC) - finished) < datetime.timedelta(minutes=1)
    words = shlex.split(record.command)
    assert words[:2] == ["crystalbench", "run"]
    for option, value in (("--task", "tiny"), ("--fold", "0"), ("--ensemble", "3"), ("--limit", "32")):
        assert words[words.index(option) + 1] == value
    assert Record.from_json(record.to_json()) == record


def words_after(command: str, option: str) -> str:
    words = shlex.split(command)
    assert words.count(option) == 1
    return words[words.index(option) + 1]


def test_the_command_repeats_what_came_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("my models")
    folder.mkdir()
    (folder / "model.py").write_text("from crystalbench.models.dummy import Dummy\nclass Mine(Dummy): 'Mine.'\n")
    (folder / "view.py").write_text(
        "from crystalbench.data.views import View\nbare = View('bare', 'nothing', lambda c: c)\n"
    )
    suite = Suite(name="x", tasks=("demo_formation_energy",), models=("my models/model.py:Mine",))
    sources = DataSources(limit=60, download=False)
    plan = make_plan(suite, Selection(folds=[0], views=["my models/view.py:bare"]), sources)
    (record,) = run_plan(plan, RecordStore(tmp_path / "records"), SerialExecutor(Runner())).records
    assert (record.spec.model, record.spec.view) == ("model.py:Mine", "bare")
    model, view = (words_after(record.command, option) for option in ("--model", "--view"))
    assert (model, view) == ("my models/model.py:Mine", "my models/view.py:bare")
    (again,) = make_plan(suite, Selection(models=[model], folds=[0], views=[view]), sources).runs
    assert again.spec == record.spec


def test_the_command_has_the_table_and_the_rows_that_were_used_of_it() -> None:
    source = Source("part.parquet", "0" * 64, "ids")
    table = dataclasses.replace(tiny_task(n=40, total=100), source=source)
    for task in (table.limited(25), table):
        command = run(task).command
        assert words_after(command, "--data") == "tiny=part.parquet"
        assert table.limited(int(words_after(command, "--limit"))).digest == task.digest
    assert "--limit" not in run(dataclasses.replace(table, rows_total=40)).command


@pytest.mark.parametrize(
    "value",
    ["round", "two words", "it's", "3", "true", "None", '"quoted"', "", 3, -1.5e-07, True, None, [1, 2], "ångström"],
)
def test_the_command_sets_hyperparameters_to_what_they_were(value: Any) -> None:
    from crystalbench.cli.options import parameters

    spec = spec_of(tiny_task(), parameters={"name": value})
    assignment = words_after(repeat_command(spec, tiny_task()), "--set")
    (found,) = parameters([assignment]).values()
    assert found == value
    assert type(found) is type(value)


def test_tasks_of_packaged_task_files_are_repeated_by_name() -> None:
    source = Source("t.parquet", "0" * 64, "user", "cv_per_cell.toml")
    mine = dataclasses.replace(tiny_task(), source=source)
    packaged = dataclasses.replace(mine, name="gong_cv_per_cell")
    assert words_after(repeat_command(spec_of(mine), mine), "--task") == "cv_per_cell.toml"
    assert words_after(repeat_command(spec_of(packaged), packaged), "--task") == "gong_cv_per_cell"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_scores(kind: Kind) -> None:
    record = run(tiny_task(kind))
    assert record.kind == kind
    assert record.metric in record.scores
    values = np.array(record.predictions.values)
    assert values.shape == ((10, 3) if kind is Kind.MULTICLASS else (10,))


def test_undefined_scores_are_null() -> None:
    task = tiny_task(Kind.BINARY)
    task = dataclasses.replace(task, targets=np.where(task.folds == 0, 1.0, task.targets))
    assert run(task).scores["rocauc_true"] is None


def test_members_have_seeds_of_their_own_and_report_progress_in_turn() -> None:
    task, calls = tiny_task(), []
    spec = spec_of(task, protocol=ProtocolSpec(inner_folds=4, ensemble=3), parameters={"sigma": 0.5})

    def progress(done: int, total: int, **numbers: Any) -> None:
        if "loss" in numbers:
            assert (numbers["member"], numbers["members"]) == ((done - 1) // 2, 3)
            calls.append((done, total, numbers["loss"]))

    record = execute(spec, "Memory", Memory, task, Resources(), progress)
    assert calls == [(1, 6, 0.5), (2, 6, 0.25), (3, 6, 0.5), (4, 6, 0.25), (5, 6, 0.5), (6, 6, 0.25)]
    assert Memory.seeds == [spec.derived_seed("member", number) for number in range(3)]
    means = [train.targets.mean() for train, _ in Memory.fits]
    np.testing.assert_allclose(record.predictions.values, np.mean(means))
    assert record.predictions.std is not None
    np.testing.assert_allclose(record.predictions.std, np.sqrt(np.var(means) + 0.25))


def test_a_run_reports_its_phases() -> None:
    calls: list[tuple[str, int, int, str]] = []

    def progress(done: int, total: int, *, phase: Phase = Phase.FITTING, unit: str = "", **_: float) -> None:
        calls.append((str(phase), done, total, unit))

    task = tiny_task(n=40)
    execute(spec_of(task, parameters={"trees": 3}), "forest", get_model("magpie_forest"), task, Resources(), progress)
    tested = int((task.folds == 0).sum())
    assert calls == [
        ("fitting", 0, 0, ""),
        ("representations", 0, 40, "compositions"),
        ("fitting", 0, 0, ""),
        ("fitting", 3, 3, "trees"),
        ("predicting", 0, tested, "rows"),
    ]


def test_a_run_can_be_repeated_bit_by_bit() -> None:
    task = tiny_task()
    parameters = {"trees": 5}
    one, other = (run(task, get_model("magpie_forest"), parameters=parameters) for _ in range(2))
    assert one.predictions == other.predictions
    assert one.scores == other.scores
    third = run(task, get_model("magpie_forest"), parameters=parameters, seed=1)
    assert third.predictions.values != one.predictions.values


def test_bad_predictions_stop_the_run_by_id() -> None:
    @dataclass
    class Lost(Memory):
        def predict(self, samples: Samples) -> Predictions:
            return Predictions(np.where(np.arange(len(samples)) == 2, np.nan, 1.0))

    with pytest.raises(DataError, match=r"^crystal-6: its prediction is not finite"):
        run(tiny_task(), Lost)


def test_a_fold_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"tiny: has no fold 3; its folds are \[0, 1, 2\]"):
        run(tiny_task(), fold=3)


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


# ---------------------------------------------------------------------- ensembles


def test_the_variance_of_an_ensemble_is_the_total_one() -> None:
    members = [Predictions(np.array([1.0, 4.0]), np.array([0.5, 0.0])), Predictions(np.array([3.0, 4.0]), np.ones(2))]
    combined = combine(members, Kind.REGRESSION)
    assert combined.values.tolist() == [2.0, 4.0]
    assert combined.std is not None
    np.testing.assert_allclose(combined.std**2, [1 + (0.25 + 1) / 2, 0 + (0 + 1) / 2])


def test_members_without_uncertainty_have_their_spread() -> None:
    members = [Predictions(np.array([1.0])), Predictions(np.array([3.0]), np.array([9.0]))]
    combined = combine(members, Kind.REGRESSION)
    assert combined.std is not None
    assert combined.std.tolist() == [1.0]


def test_one_member_is_itself_and_classes_have_mean_probabilities() -> None:
    one = Predictions(np.array([1.0]), np.array([2.0]))
    assert combine([one], Kind.REGRESSION) is one
    several = [Predictions(np.array([[1.0, 0.0]])), Predictions(np.array([[0.5, 0.5]]))]
    combined = combine(several, Kind.MULTICLASS)
    assert combined.values.tolist() == [[0.75, 0.25]]
    assert combined.std is None


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
