"""Stacks: what members are fitted to, what the weights come from, interruption, and what a run declares of members."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import predicted, random_crystals, samples_of, tiny_task

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, DataError, SavingError
from crystalbench.models import CompositionStack, Dummy, Sees, Stack, checkpoints, get_model, load_model, save_model
from crystalbench.models.checkpoints import Checkpoint
from crystalbench.models.members import Member
from crystalbench.models.model import Runtime
from crystalbench.results.spec import ProtocolSpec, RunSpec
from crystalbench.runs.execute import execute
from crystalbench.runs.resources import Resources
from crystalbench.source_code import code_digest
from crystalbench.targets import Kind

FORESTS = "magpie_forest(trees=10) + magpie_boosting(rounds=10)"


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], set[str], int]]:
    """Ids of the rows to fit and to validate, and the seed, of all fits of `dummy`, in order."""
    found: list[tuple[set[str], set[str], int]] = []
    plain = Dummy.fit

    def fit(self: Dummy, train: Samples, valid: Samples) -> Dummy:
        found.append((set(train.ids), set(valid.ids), self.runtime.seed))
        return plain(self, train, valid)

    monkeypatch.setattr(Dummy, "fit", fit)
    return found


def test_every_row_is_predicted_by_members_that_were_not_fitted_to_it(
    train: Samples, valid: Samples, fits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out: list[set[str]] = []
    plain = Dummy.predict

    def predict(self: Dummy, samples: Samples) -> Predictions:
        assert not samples.has_targets
        held_out.append(set(samples.ids))
        return plain(self, samples)

    monkeypatch.setattr(Dummy, "predict", predict)
    train, valid = samples_of(train.crystals), samples_of(renamed(valid.crystals, "v"))
    Stack(members="dummy + dummy", inner=4).fit(train, valid)
    everything = {*train.ids, *valid.ids}
    assert len(fits) == 2 * 5 and len({seed for _, _, seed in fits}) == len(fits)
    for (seen, chooses, _), unseen in zip(fits[:8], held_out, strict=True):
        assert not seen & chooses and seen | chooses == everything - unseen
        assert len(chooses) / len(seen | chooses) == pytest.approx(len(valid) / len(everything), abs=0.03)
    assert sorted(i for unseen in held_out[::2] for i in unseen) == sorted(everything)
    assert [f[:2] for f in fits[8:]] == [(set(train.ids), set(valid.ids))] * 2


def renamed(crystals: Crystals, start: str) -> Crystals:
    return dataclasses.replace(crystals, ids=np.array([f"{start}{i}" for i in crystals.ids]))


def test_the_worse_member_gets_less_weight_and_predictions_are_the_weighted_mean(
    train: Samples, valid: Samples, unseen: Crystals, caplog: pytest.LogCaptureFixture
) -> None:
    model = Stack(members="magpie_forest(trees=30) + dummy")
    with caplog.at_level(logging.INFO):
        model.fit(train, valid)
    assert model.weights is not None and model.weights[0] > model.weights[1]
    assert "weights of the members: magpie_forest" in caplog.text
    parts = [predicted(member, unseen) for member in model._fitted]
    found = model.predict(Samples(unseen, train.target))
    assert found.values == pytest.approx(model.weights @ np.stack(parts))
    assert found.std is not None and (found.std > 0).all()


def test_the_median_has_no_weights(train: Samples, valid: Samples, unseen: Crystals) -> None:
    model = CompositionStack(members=f"{FORESTS} + dummy", combination="median").fit(train, valid)
    assert model.weights is None
    parts = [predicted(member, unseen) for member in model._fitted]
    assert predicted(model, unseen) == pytest.approx(np.median(parts, axis=0))


@pytest.mark.parametrize("combination", ["median", "mean"])
def test_without_inner_folds_each_member_is_fitted_once(
    combination: str, train: Samples, valid: Samples, unseen: Crystals, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    original = Dummy.fit
    monkeypatch.setattr(Dummy, "fit", lambda self, *parts: fits.append(1) or original(self, *parts))
    model = CompositionStack.from_configuration(
        {"members": f"{FORESTS} + dummy", "combination": combination, "inner": 0}
    ).fit(train, valid)
    assert len(fits) == 1
    members = [member.predict(Samples(unseen, train.target)) for member in model._fitted]
    values = np.stack([member.values for member in members])
    found = model.predict(Samples(unseen, train.target))
    assert found.values == pytest.approx(getattr(np, combination)(values, axis=0))
    own = np.mean([member.std**2 for member in members if member.std is not None], axis=0)
    assert found.std == pytest.approx(np.sqrt(((values - found.values) ** 2).mean(0) + own))


@pytest.mark.parametrize(("combination", "inner"), [("weights", 0), ("weights", 1), ("mean", 1)])
def test_too_few_inner_folds_are_refused(combination: str, inner: int) -> None:
    with pytest.raises(ConfigError, match=f"inner = {inner}: combination = '{combination}' needs at least 2"):
        Stack.from_configuration({"members": "dummy + dummy", "combination": combination, "inner": inner})


def test_the_configuration_names_versions_and_all_hyperparameters_of_the_members() -> None:
    configuration = Stack(members="dummy + magpie_forest(trees=7)").configuration()
    assert configuration["members"].startswith("dummy@1() + magpie_forest@")
    assert "trees=7, min_samples_leaf=null" in configuration["members"]
    assert Stack.from_configuration(configuration).configuration() == configuration


def test_members_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="composition_stack is a stack itself"):
        Stack(members="dummy + composition_stack")
    with pytest.raises(ConfigError, match="cgcnn needs structures; use the model stack"):
        CompositionStack(members="dummy + cgcnn")


def test_too_few_rows_are_an_error() -> None:
    few = samples_of(random_crystals(0, 4))
    with pytest.raises(DataError, match="5 training rows, too few for 3 inner folds"):
        Stack(members="dummy + dummy").fit(few, few[:1])


def test_it_declares_what_its_members_do() -> None:
    model = Stack(members="descriptor_forest + sen")
    assert model.sees is Sees.WITH_DESCRIPTORS
    assert model.invariances == get_model("descriptor_forest")().invariances
    assert model.parts == (get_model("descriptor_forest"), get_model("sen"))
    stack = Stack(members="dummy + cgcnn(readout=sum)")
    assert stack.supports(Kind.REGRESSION) and not stack.unsupported(Kind.REGRESSION)
    assert not stack.supports(Kind.BINARY)
    reason = "has the member cgcnn, which does not predict binary targets with these hyperparameters"
    assert stack.unsupported(Kind.BINARY) == reason
    assert CompositionStack(members="dummy + magpie_forest").sees is Sees.COMPOSITION


def test_a_record_declares_code_and_choices_of_the_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dummy, "pretrained_on", frozenset({"MPtrj"}))
    task, parameters = tiny_task(), Stack(members="dummy + magpie_forest(trees=5)").configuration()
    spec = RunSpec(
        task=task.name,
        data=task.digest,
        fold=0,
        model="stack",
        model_version=1,
        parameters=parameters,
        protocol=ProtocolSpec(inner_folds=4),
    )
    record = execute(spec, "stack", Stack, task, Resources())
    forest = get_model("magpie_forest")
    assert set(record.defaults_chosen_on) == forest.defaults_chosen_on | Stack.defaults_chosen_on
    assert record.pretrained_on == ["MPtrj"]
    assert record.code == code_digest(Stack, Dummy, forest) != code_digest(Stack)
    assert record.predictions.std is not None


def test_a_saved_stack_of_other_versions_is_refused(
    train: Samples, valid: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(Stack(members="dummy + dummy").fit(train, valid), tmp_path / "model")
    monkeypatch.setattr(Dummy, "version", 2)
    with pytest.raises(SavingError, match="dummy@1: this is version 2"):
        load_model(tmp_path / "model")


def test_a_resumed_fit_does_not_repeat_what_was_saved(
    train: Samples, valid: Samples, unseen: Crystals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    plain = Member.new

    def new(self: Member) -> Any:
        made.append(self.name)
        return plain(self)

    def fitted(stop: int | None = None) -> Stack:
        def progress(done: int, total: int, **_: Any) -> None:
            if done == stop:
                raise KeyboardInterrupt

        model = Stack(members=FORESTS)
        model.runtime = Runtime(seed=3, progress=progress, checkpoint=Checkpoint(tmp_path / "x-fit.pt", {"run": "a"}))
        made.clear()
        return model.fit(train, valid)

    monkeypatch.setattr(Member, "new", new)
    with pytest.raises(KeyboardInterrupt):
        fitted(stop=400)  # at the end of the fourth fit of eight, before it predicts
    assert len(made) == 4
    resumed = fitted()
    assert len(made) == 5  # three of the six fits to parts of the rows were saved
    (tmp_path / "x-fit.out-of-fold.pt").unlink()
    never = fitted()
    assert len(made) == 8
    assert np.array_equal(predicted(resumed, unseen), predicted(never, unseen))
    assert resumed.weights is not None and np.array_equal(resumed.weights, never.weights)


def test_members_that_were_fitted_to_all_rows_are_not_fitted_again(
    train: Samples, valid: Samples, unseen: Crystals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    fits: list[int] = []

    def fitted(stop: int | None = None, members: str = FORESTS) -> Stack:
        def progress(done: int, total: int, **_: Any) -> None:
            fits.append(done)
            if done == stop:
                raise KeyboardInterrupt

        model = Stack(members=members)
        model.runtime = Runtime(seed=3, progress=progress, checkpoint=Checkpoint(tmp_path / "x-fit.pt", {"run": "a"}))
        fits.clear()
        return model.fit(train, valid)

    with pytest.raises(KeyboardInterrupt):
        fitted(stop=800)  # at the end of the last fit
    resumed = fitted()
    assert set(fits) == {800}
    assert resumed.n_parameters is None and resumed._fitted[0].target == train.target
    for path in tmp_path.glob("*.pt"):
        path.unlink()
    never = fitted()
    assert set(fits) == {100 * k for k in range(1, 9)}
    assert np.array_equal(predicted(resumed, unseen), predicted(never, unseen))

    def state(self: Dummy) -> Any:
        raise SavingError("not today")

    monkeypatch.setattr(Dummy, "state", state)
    for path in tmp_path.glob("*.pt"):
        path.unlink()
    assert len(fitted(members="dummy + dummy")._fitted) == 2


def test_one_warning_where_predictions_cannot_be_saved(
    train: Samples, valid: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    model = Stack(members="dummy + dummy")
    model.runtime = Runtime(checkpoint=Checkpoint(tmp_path / "file" / "x-fit.pt", {"run": "a"}))
    caplog.set_level(logging.WARNING)
    model.fit(train, valid)
    (message,) = caplog.messages
    assert "the checkpoint cannot be written" in message


def test_progress_counts_all_fits(train: Samples, valid: Samples) -> None:
    calls: list[tuple[int, int]] = []
    model = Stack(members=FORESTS, inner=2)
    model.runtime = Runtime(progress=lambda done, total, **_: calls.append((done, total)))
    model.fit(train, valid)
    assert list(dict.fromkeys(calls)) == [(100 * k, 600) for k in range(1, 7)]
