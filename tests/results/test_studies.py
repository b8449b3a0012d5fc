from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import spec
from optuna.distributions import FloatDistribution

from crystalbench.errors import RecordError
from crystalbench.results.record import Decision
from crystalbench.results.spec import ProtocolSpec, RunSpec, TuningSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study, Trial, study_name, study_seed, study_spec
from crystalbench.tuning import Search, Storage
from crystalbench.tuning.space import space_as_json

QUESTION = spec(model="bowls.py:Bowl", tuning=TuningSpec(trials=4, space="a" * 64))


def study(*values: float | None, **changes: Any) -> Study:
    trials = [
        Trial(
            number=n,
            state="complete" if value is not None else "failed",
            parameters={"x": n / 3},
            value=value,
            intermediate=[(2, 0.5), (10, 0.25)],
            seconds=1.5,
            error=None if value is not None else "it broke",
        )
        for n, value in enumerate(values)
    ]
    plain = {"spec": QUESTION, "label": "my bowl", "metric": "mae", "higher_is_better": False, "unit": "eV"}
    return Study(**{**plain, "space": space_as_json({}), "trials": trials, "finished": "now", **changes})


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    files, written = StudyStore(tmp_path), study(3.0, None, 1.0, 2.0)
    path = files.write(written)
    assert path.relative_to(tmp_path).as_posix() == f"matbench_phonons/my-bowl/{written.name}.json"
    assert files.read(path) == files.find(QUESTION) == written
    assert files.read_all() == ([written], [])
    assert files.find(QUESTION.model_copy(update={"fold": 1})) is None


@pytest.mark.parametrize("field", ["spec", "trials", "label", "finished"])
def test_a_changed_or_cut_study_is_refused(tmp_path: Path, field: str) -> None:
    path = StudyStore(tmp_path).write(study(3.0, 1.0))
    body = json.loads(path.read_text())
    body[field] = {**body[field], "seed": 7} if field == "spec" else (body[field] or [])[:-1]
    path.write_text(json.dumps(body))
    with pytest.raises(RecordError, match="was changed after it was written"):
        StudyStore(tmp_path).read(path)
    path.write_text(path.read_text()[:100])
    studies, (problem,) = StudyStore(tmp_path).read_all()
    assert studies == []
    assert "is not a complete study" in str(problem)


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:100])


def test_a_damaged_study_is_renamed_and_counts_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, written = StudyStore(tmp_path), study(3.0, 1.0)
    path = files.write(written)
    cut(path)
    damaged = path.read_text()
    with caplog.at_level(logging.WARNING):
        assert files.find(QUESTION) is None
    assert "is not a complete study" in caplog.text
    assert f"renamed to {written.name}.damaged" in caplog.text
    assert not path.exists()
    assert path.with_suffix(".damaged").read_text() == damaged
    assert files.read_all() == ([], [])
    files.write(written)
    assert files.find(QUESTION) == written


def test_a_complete_study_is_found_among_damaged_ones(tmp_path: Path) -> None:
    files = StudyStore(tmp_path)
    for label in ("a", "b", "c"):
        files.write(study(3.0, 1.0, label=label))
    *damaged, whole = tmp_path.glob("*/*/*.json")  # in the order in which they are tried
    for path in damaged:
        cut(path)
    expected = files.read(whole)
    assert files.find(QUESTION) == expected
    assert files.read_all() == ([expected], [])


def test_a_damaged_study_that_cannot_be_renamed_is_an_error(tmp_path: Path) -> None:
    path = StudyStore(tmp_path).write(study(3.0, 1.0))
    cut(path)
    path.with_suffix(".damaged").mkdir()
    with pytest.raises(RecordError, match=r"is not a complete study .* cannot be renamed: Is a directory"):
        StudyStore(tmp_path).find(QUESTION)


def test_another_process_may_rename_a_damaged_study_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = StudyStore(tmp_path).write(study(3.0, 1.0))

    def read_late(files: StudyStore, path: Path) -> Study:
        path.unlink()
        raise RecordError("is not a complete study")

    monkeypatch.setattr(StudyStore, "read", read_late)
    assert StudyStore(tmp_path).find(QUESTION) is None
    assert list(path.parent.iterdir()) == []


def test_a_damaged_study_is_recovered_from_its_storage(tmp_path: Path) -> None:
    tried: list[int] = []

    def judge(number: int, parameters: Any) -> Iterator[float]:
        tried.append(number)
        yield from [float(abs(parameters["x"] - 1))] * 6

    space = {"x": FloatDistribution(0.0, 2.0)}
    files = StudyStore(tmp_path)
    search = Search(QUESTION, "my bowl", "mae", "eV", space, {"x": 0.5}, Storage.below(tmp_path), files)
    before = search.run(judge)
    (path,) = tmp_path.glob("*/*/*.json")
    cut(path)
    after = search.run(judge)
    assert after.trials == before.trials
    assert tried == [0, 1, 2, 3]
    assert files.read_all()[0] == [after]
    cut(path)
    for file in tmp_path.glob("studies.sqlite3*"):
        file.unlink()
    anew = Search(QUESTION, "my bowl", "mae", "eV", space, {"x": 0.5}, Storage.below(tmp_path), files).run(judge)
    assert [t.parameters for t in anew.trials] == [t.parameters for t in before.trials]
    assert len(tried) == 8


def test_the_best_is_the_earliest_of_the_best() -> None:
    assert study(3.0, None, 1.0, 1.0).tuned().trial == 2
    best = study(3.0, None, 1.0, 3.0, higher_is_better=True).tuned()
    assert (best.trial, best.value, best.parameters) == (0, 3.0, {"x": 0.0})
    assert (best.complete, best.pruned, best.failed, best.trials, best.seconds) == (3, 0, 1, 4, 6.0)
    with pytest.raises(RecordError, match="no trial was completed"):
        study(None, None).tuned()


def test_the_decision_chooses_between_the_default_and_the_best_other_trial() -> None:
    kept = study(3.0, 2.0, decision=Decision(kept=True, reason="default kept: noise", candidate=1))
    assert (kept.tuned().trial, kept.tuned().value, kept.tuned().parameters) == (0, 3.0, {"x": 0.0})
    assert kept.tuned().decision == kept.decision
    replaced = study(3.0, 2.0, decision=Decision(kept=False, reason="trial 1: better", candidate=1))
    assert (replaced.tuned().trial, replaced.tuned().value) == (1, 2.0)


def test_specifications_of_version_1_keep_their_keys() -> None:
    # The study of cgcnn on the first fold of jdft2d, as an earlier version wrote it.
    tuning = '{"trials": 12, "minutes": null, "scheme": "per_fold", "inner_folds": 5, "splits": 1, "space": '
    tuning += '"5d95d586124100a609591c74421f33e426179cd9945c73666a2c6b04321e86ce", "sampler": "tpe", "pruner": "median"'
    text = f'{{"tuning": {tuning}, "version": 1}}, {CGCNN_ON_JDFT2D}}}'
    read = RunSpec.model_validate_json(text)
    assert read.tuning is not None
    assert (read.tuning.splits, read.tuning.seeds) == (1, 1)
    assert read.key.startswith("2ab72cbe366bd046")
    assert RunSpec.model_validate_json(read.model_dump_json()) == read


CGCNN_ON_JDFT2D = (
    '"task": "matbench_jdft2d", "data": "4f39e2b0720c9a4926d2deff6fdc2f85f1c147b0421b4e0c84bc1ed7408d1f5c", "fold": 0, '
    '"model": "cgcnn", "model_version": 1, "parameters": {"learning_rate": 0.003, "weight_decay": 0.01, '
    '"batch_size": 64, "epochs": 200, "patience": 60, "schedule": "one_cycle", "loss": "l1", "gradient_clip": 5.0, '
    '"averaging": 0.99, "readout": "mean", "head_width": 128, "head_layers": 1, "dropout": 0.0, "width": 64, '
    '"layers": 3, "neighbors": 12, "cutoff": 8.0}, "model_code": null, "view": "full", "view_version": 1, "seed": 0, '
    '"protocol": {"inner_folds": 10, "ensemble": 1}'
)


def test_a_single_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="a gain has no standard error with a single evaluation"):
        TuningSpec(trials=4, splits=1, seeds=1)


def of_run(first_fold: int = 0, **changes: Any) -> RunSpec:
    return study_spec(QUESTION.model_copy(update=changes), first_fold)


def test_runs_that_differ_in_what_tuning_ignores_share_a_study() -> None:
    ensemble = ProtocolSpec(inner_folds=5, ensemble=4)
    assert of_run(seed=3, protocol=ensemble).key == of_run().key
    first = TuningSpec(trials=4, space="a" * 64, scheme="first_fold")
    assert of_run(fold=2, tuning=first).key == of_run(fold=1, tuning=first).key == of_run(fold=0).key
    assert of_run(first_fold=2, fold=1, tuning=first).fold == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"fold": 1},
        {"task": "other"},
        {"data": "e" * 64},
        {"model_version": 2},
        {"model_code": "f" * 64},
        {"parameters": {"width": 65}},
        {"view": "anonymous"},
        {"protocol": ProtocolSpec(inner_folds=6)},
        {"tuning": TuningSpec(trials=5, space="a" * 64)},
        {"tuning": TuningSpec(minutes=4, space="a" * 64)},
        {"tuning": TuningSpec(trials=4, space="b" * 64)},
        {"tuning": TuningSpec(trials=4, space="a" * 64, splits=2)},
        {"tuning": TuningSpec(trials=4, space="a" * 64, seeds=3)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_relevant_field_makes_another_study(changes: dict[str, Any]) -> None:
    assert of_run(**changes).key != of_run().key
    assert study_name(of_run(**changes)) != study_name(of_run())
    assert study_seed(of_run(**changes), "trial", 0) != study_seed(of_run(), "trial", 0)


def test_a_studys_name_can_be_read() -> None:
    assert study_name(of_run()).startswith("matbench_phonons-Bowl-full-fold0-")
