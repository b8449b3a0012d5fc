from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import record, repeatable, spec, tuned_record
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.errors import RecordError
from crystalbench.results.loading import read_results
from crystalbench.results.record import Record, RecordedPredictions, predicted, scores_for_json
from crystalbench.results.sealed import digest, seal
from crystalbench.results.spec import FoldSchemeSpec, ProtocolSpec, RunSpec, TuningSpec
from crystalbench.results.store import RecordStore
from crystalbench.tasks import load_task

OTHER: dict[str, Any] = {
    "task": "matbench_steels",
    "data": "0" * 64,
    "fold": 1,
    "model": "cgcnn",
    "model_version": 2,
    "parameters": {"width": 65, "rate": 0.01},
    "model_code": "c" * 64,
    "view_version": 2,
    "view": "anonymous",
    "seed": 1,
    "protocol": ProtocolSpec(inner_folds=7),
    "tuning": {"trials": 20},
    "fold_scheme": FoldSchemeSpec(name="element", parameters={"symbol": "O"}),
    "train_fraction": 0.5,
}
"""Another value for every field of a specification."""


# ---------------------------------------------------------------------- keys and seeds


def test_every_field_of_the_specification_has_another_value_here() -> None:
    assert set(OTHER) == set(RunSpec.model_fields)


@pytest.mark.parametrize("field", RunSpec.model_fields)
def test_the_key_depends_on_every_field_of_the_specification(field: str) -> None:
    assert spec(**{field: OTHER[field]}).key != spec().key
    assert spec(**{field: OTHER[field]}).derived_seed() != spec().derived_seed()


@pytest.mark.parametrize("changes", [{"ensemble": 2}, {"inner_folds": 3}])
def test_the_key_depends_on_every_field_of_the_protocol(changes: dict[str, int]) -> None:
    assert spec(protocol=ProtocolSpec(**changes)).key != spec().key


def test_the_key_does_not_depend_on_the_result() -> None:
    key = record().key
    for changes in ({"label": "another"}, {"mae": 7.0}, {"device": "cuda"}, {"finished": "2026-01-01T00:00:00+00:00"}):
        assert record(**changes).key == key  # type: ignore[arg-type]


def test_the_key_does_not_depend_on_the_order_of_parameters() -> None:
    assert spec(parameters={"rate": 0.01, "width": 64}).key == spec().key


def test_the_key_has_not_changed() -> None:
    # Records on disk are found by their key: a change here would orphan every record ever made.
    assert spec().key == "5e94d0113212d1349b6cc6eeb541f3f6dacf51a4d171539cfec79eb74dea7596"


def test_the_key_and_file_of_a_run_on_official_folds_have_not_changed() -> None:
    # Written by a version without fold schemes: cgcnn on fold 0 of demo_formation_energy.
    written = {
        "task": "demo_formation_energy",
        "data": "2787cfc537631460a7255fce1a9b9cf615b0794b4ac86c62670e1301771c9772",
        "fold": 0,
        "model": "cgcnn",
        "model_version": 1,
        "parameters": {
            "learning_rate": 0.003,
            "weight_decay": 0.01,
            "batch_size": 64,
            "epochs": 200,
            "stopping": "last",
            "patience": 60,
            "schedule": "one_cycle",
            "loss": "l1",
            "gradient_clip": 5.0,
            "averaging": 0.99,
            "readout": "mean",
            "head_width": 128,
            "head_layers": 1,
            "dropout": 0.0,
            "width": 64,
            "layers": 3,
            "neighbors": 12,
            "cutoff": 8.0,
        },
        "model_code": None,
        "view": "full",
        "view_version": 1,
        "seed": 0,
        "protocol": {"inner_folds": 10, "ensemble": 1},
        "tuning": None,
    }
    run = RunSpec.model_validate(written)
    assert run.model_dump(mode="json") == written
    assert run.key == "3122fc8412a18da144568363ba7d79485dfc06f5f03bf259425661a08eea0d77"
    assert Record.name_of(run) == "full-fold0-seed0-3122fc8412a18da1.json"
    assert load_task(run.task).digest == run.data


def test_seeds_differ_by_purpose_and_are_valid_for_every_library() -> None:
    purposes = [(), ("member", 0), ("member", 1), ("member", 10), ("tuning",), ("tuning", 0), ("member", 1, 0)]
    seeds = [spec(fold=fold).derived_seed(*purpose) for purpose in purposes for fold in range(40)]
    assert len(set(seeds)) == len(seeds)
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)
    assert max(seeds) > 2**30  # all 31 bits are used
    assert spec().derived_seed("member", 0) == spec().derived_seed("member", 0)


# ---------------------------------------------------------------------- text and back

floats = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@repeatable(40)
@given(
    scores=st.dictionaries(st.sampled_from(["mae", "rmse", "r2"]), floats | st.none()),
    values=st.lists(floats, min_size=2, max_size=2),
    std=st.none() | st.lists(floats, min_size=2, max_size=2),
    label=st.sampled_from(["cgcnn", "", 'Å · 東\n"x"', "a" * 300]),
)
def test_a_record_is_read_as_it_was_written(
    scores: dict[str, float | None], values: list[float], std: list[float] | None, label: str
) -> None:
    predictions = RecordedPredictions(ids=["å", 'b"\\\n'], targets=[0.1, 1e-300], values=values, std=std)
    written = record(scores=scores or {"mae": None}, predictions=predictions, label=label)
    read = Record.from_json(written.to_json())
    assert read == written
    assert read.to_json() == written.to_json()


def test_probabilities_of_several_classes_are_kept() -> None:
    predictions = predicted(
        np.array(["a", "b"]), np.array([0.0, 2.0]), np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]), None
    )
    written = record(predictions=predictions)
    assert Record.from_json(written.to_json()).predictions.values == [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]


def test_undefined_scores_are_null() -> None:
    scores = scores_for_json({"mae": 1.0, "r2": float("nan"), "rmse": float("inf")})
    assert scores == {"mae": 1.0, "r2": None, "rmse": None}
    assert '"r2": null' in record(scores=scores).to_json()


def test_a_record_is_one_line_for_each_field() -> None:
    lines = record().to_json().splitlines()
    assert [line.split('"')[1] for line in lines[1:-1]] == [*Record.model_fields, "digest"]


def changed_values(value: Any) -> Any:
    """A different value of the same type."""
    if isinstance(value, dict):
        name = next(iter(value))
        return {**value, name: changed_values(value[name])}
    if isinstance(value, list):
        return [*value[:-1], changed_values(value[-1])] if value else ["something"]
    if isinstance(value, str):
        return value + "x"
    return 12345 if value is None else value + 1


@pytest.mark.parametrize("field", Record.model_fields)
def test_every_edit_is_noticed(field: str) -> None:
    body = json.loads((tuned_record() if field == "tuned" else record()).to_json())
    body[field] = changed_values(body[field])
    with pytest.raises(RecordError, match=r"run\.json: was changed after it was written"):
        Record.from_json(json.dumps(body), "run.json")


def test_a_tuning_metric_other_than_the_default_is_part_of_the_key() -> None:
    usual, other = spec(tuning=TuningSpec(trials=3)), spec(tuning=TuningSpec(trials=3, metric="rmse"))
    assert usual.key != other.key
    assert "metric" not in usual.model_dump(mode="json")["tuning"]  # as before the field was added
    assert RunSpec.model_validate(other.model_dump(mode="json")) == other
    assert RunSpec.model_validate(usual.model_dump(mode="json")) == usual


def test_a_record_from_before_tuning_is_read_and_keeps_its_key() -> None:
    old = json.loads(record().to_json())
    del old["digest"], old["tuned"], old["code"]
    old["format"], old["asked"] = 1, old.pop("spec")
    text = json.dumps({**old, "digest": digest(old)})
    assert Record.from_json(text).key == record().key == digest(old["asked"])
    assert old["asked"]["tuning"] is None


def test_a_tuned_run_has_another_key_and_file() -> None:
    plain, tuned = record(), tuned_record()
    assert tuned.label == plain.label
    assert tuned.file_name != plain.file_name
    assert Record.from_json(tuned.to_json()) == tuned
    assert len({tuned_record(trials=n).key for n in (10, 20)} | {tuned_record(scheme="first_fold").key}) == 3


@pytest.mark.parametrize("budget", [{}, {"trials": 5, "minutes": 1.0}])
def test_tuning_has_exactly_one_budget(budget: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of both"):
        TuningSpec(**budget)


@pytest.mark.parametrize("part", ["spec", "predictions", "rows", "seconds", "source", "environment"])
def test_every_nested_edit_is_noticed(part: str) -> None:
    whole = json.loads(record().to_json())
    for name in whole[part]:
        body = json.loads(record().to_json())
        body[part][name] = changed_values(body[part][name])
        with pytest.raises(RecordError):
            Record.from_json(json.dumps(body))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "3",
        "null",
        '"text"',
        "{" * 100,
        record().to_json()[:-40],
        record().to_json().replace('"mae": 1.0', '"mae": NaN'),
        record().to_json().replace('"mae": 1.0', '"mae": "low"'),
        record().to_json().replace('"digest"', '"digests"'),
        record().to_json().replace('"label"', '"lable"'),
        record().to_json().replace(' "label": "dummy",\n', ""),
    ],
    ids=range(13),
)
def test_files_that_are_not_records_are_refused_by_name(text: str) -> None:
    with pytest.raises(RecordError, match=r"^run\.json: "):
        Record.from_json(text, "run.json")


# ---------------------------------------------------------------------- the store


def test_written_records_are_found_and_read(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "not" / "yet")
    one, other = record(), record(fold=1, label="other", view="anonymous", seed=3)
    assert store.find(one.spec) is None
    assert store.paths() == []
    paths = [store.write(r) for r in (one, other)]
    assert [store.path_of(r.spec) for r in (one, other)] == paths
    assert [store.read(path) for path in paths] == [one, other]
    assert store.paths() == sorted(paths)
    assert store.read_all() == ([store.read(p) for p in sorted(paths)], [])
    assert store.find(spec(fold=2)) is None
    assert paths[0].stat().st_mode & 0o777 == 0o644


def test_a_record_is_found_whatever_its_label(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = store.write(record(label="My model (long)"))
    assert store.path_of(spec()) == path


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("cgcnn", "cgcnn"),
        ("CGCNN x5", "CGCNN-x5"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "model"),
        ("", "model"),
        ("a/b\\c", "a-b-c"),
        ("ä*?[x]", "x"),
        (".hidden", "hidden"),
        ("v1.2_b+c", "v1.2_b+c"),
    ],
)
def test_labels_become_plain_folder_names(label: str, folder: str, tmp_path: Path) -> None:
    made = record(label=label)
    assert made.file_name == f"matbench_phonons/{folder}/full-fold0-seed0-{made.key[:16]}.json"
    assert RecordStore(tmp_path).write(made).is_relative_to(tmp_path / "matbench_phonons" / folder)


@pytest.mark.parametrize("view", ["my_views:blind", "views/mine.py:blind", "a[b]*:c"])
def test_views_by_location_are_written_found_and_listed(view: str, tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = store.write(record(view=view))
    assert path.parent == tmp_path / "matbench_phonons" / "dummy"
    assert store.path_of(spec(view=view)) == path
    assert store.paths() == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    store = RecordStore(tmp_path)
    with pytest.raises(
        RecordError, match=r"cannot be written \(No space left on device\); free some space or choose another"
    ):
        store.write(record())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.find(spec()) is None


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file")
    with pytest.raises(RecordError, match="the record cannot be written"):
        RecordStore(tmp_path / "records").write(record())


def test_damaged_files_are_reported_and_the_others_are_read(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    good, cut, edited, empty, binary = (store.write(record(fold=fold)) for fold in range(5))
    cut.write_text(cut.read_text()[:200])
    edited.write_text(edited.read_text().replace('"mae": 1.0', '"mae": 0.1'))
    empty.write_text("")
    binary.write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "matbench_phonons" / "dummy" / ".half.json").write_text("{")
    (tmp_path / "matbench_phonons" / "dummy" / "notes.txt").write_text("mine")
    records, problems = store.read_all()
    assert [r.spec.fold for r in records] == [0]
    assert store.read(good) == records[0]
    assert {str(p).split(":")[0] for p in problems} == {str(p) for p in (cut, edited, empty, binary)}
    assert any("was changed after it was written" in str(p) for p in problems)


def test_an_invalid_number_affects_only_its_file(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = store.write(record())
    store.write(record(fold=1))
    path.write_text(path.read_text().replace('"mae": 1.0', '"mae": NaN'))
    records, problems = store.read_all()
    assert len(records) == len(problems) == 1


def test_records_cannot_be_changed() -> None:
    made = record()
    with pytest.raises(ValueError, match="frozen"):
        made.label = "better"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        made.spec.fold = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        ProtocolSpec(folds=3)  # type: ignore[call-arg]


def test_records_of_format_3_are_read_without_the_new_fields() -> None:
    body = record().model_dump(mode="json") | {"format": 3}
    del body["concurrent"], body["defaults_chosen_on"]
    found = Record.from_json(seal(body), "old.json")
    assert (found.concurrent, found.defaults_chosen_on, found.format) == (None, [], 3)


def test_records_of_format_4_do_not_say_what_the_model_saw_nor_its_pretraining() -> None:
    body = record().model_dump(mode="json") | {"format": 4}
    del body["sees"], body["pretrained_on"]
    found = Record.from_json(seal(body), "old.json")
    assert (found.sees, found.pretrained_on, found.format) == ("undeclared", [], 4)
    assert found.key == record().key == record(sees="composition").key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "regresion"}, "Unknown kind of task 'regresion'. Did you mean 'regression'"),
        ({"metric": "mea"}, "'mea' is not a metric of regression targets, which have mae"),
        ({"metric": "f1"}, "'f1' is not a metric of regression targets"),
        ({"sees": "everything"}, "sees = 'everything' is none of nothing, composition"),
    ],
)
def test_a_record_with_an_unknown_kind_metric_or_input_is_named(
    changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    store = RecordStore(tmp_path / "records")
    store.write(record())
    path = store.write(record(fold=1, **changes))
    found = read_results(store)
    assert len(found) == 1
    (problem,) = found.problems
    assert str(problem).startswith(f"{path}: is not a valid record ({message}")
