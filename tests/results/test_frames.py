"""Records as frames: every value is in its column, and each file is read once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, record, spec, tuned_record

from crystalbench.errors import ConfigError, RecordError, UnknownNameError
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.results import Record, RecordStore, Results, StudyStore, load_results
from crystalbench.results.frames import DTYPES, predictions_frame, scores_frame
from crystalbench.results.record import RecordedPredictions
from crystalbench.results.sealed import digest


def test_a_row_per_run_and_metric_with_the_facts_of_the_run() -> None:
    records = [record(1.5, fold=2, seed=1, label="my dummy"), tuned_record(2.5, view="unit_density")]
    frame = scores_frame(records)
    assert dict(frame.dtypes.astype(str)) == DTYPES
    assert frame["metric"].tolist() == ["mae", "rmse", "r2", "max_error"] * 2
    assert frame.index.tolist() == [0] * 4 + [1] * 4
    plain, tuned = (frame[frame["metric"] == "mae"].iloc[i] for i in (0, 1))
    facts = ["task", "model", "model_name", "view", "protocol", "fold", "seed", "score", "unit", "kind", "main_metric"]
    assert plain[facts].tolist() == [
        *("matbench_phonons", "my dummy", "dummy", "full", "default", 2, 1, 1.5, "cm⁻¹", "regression", "mae")
    ]
    counts = ["rows", "rows_total", "folds_total", "rows_train", "rows_valid", "rows_test", "parameters", "threads"]
    assert plain[counts].tolist() == [1265, 1265, 5, 800, 212, 253, 1, 1]
    assert plain[["fit_seconds", "predict_seconds", "featurise_seconds", "memory_mb"]].tolist() == [2.0, 0.1, 0.5, 100]
    assert plain[["study", "tuned_fold", "tuned_trial", "trials", "failed_trials"]].isna().all()
    assert np.isnan(plain["tuning_seconds"])
    assert tuned[["view", "protocol", "study", "tuned_fold"]].tolist() == ["unit_density", "tuned", "study-0-20", 0]
    assert tuned[["tuned_trial", "trials", "failed_trials", "tuning_seconds"]].tolist() == [3, 20, 1, 10.0]
    assert tuned[["tuning_gain", "tuning_gain_error"]].tolist() == [0.4, 0.25]
    assert plain[["tuning_gain", "tuning_gain_error"]].isna().all()
    assert json.loads(tuned["settings"])["tuning_trials"] == 20
    assert json.loads(plain["settings"])["width"] == 64


def test_undefined_scores_are_nan_and_unknown_parameters_missing() -> None:
    frame = scores_frame([record(None, n_parameters=None)])
    assert frame["score"].isna().tolist() == [True, False, False, False]
    assert frame["parameters"].isna().all()


def test_the_configuration_leaves_out_fold_and_seed_alone() -> None:
    def configuration(made: Record) -> str:
        return str(scores_frame([made])["configuration"].iloc[0])

    same = {configuration(record(fold=fold, seed=seed)) for fold in (0, 1) for seed in (0, 3)}
    assert same == {digest(spec().model_dump(mode="json", exclude={"fold", "seed"}))}
    others = [record(parameters={"width": 1}), record(view="unit_density"), record(data="e" * 64), tuned_record()]
    assert len(same | {configuration(other) for other in others}) == 5
    tuned = scores_frame([tuned_record(fold=3)])
    assert set(tuned["untuned"]) == same


def test_a_row_per_predicted_sample() -> None:
    plain = record(fold=1, predictions=RecordedPredictions(ids=["b", "a"], targets=[1, 2], values=[3, 4], std=[5, 6]))
    frame = predictions_frame([plain, record(label="other")])
    assert frame[["model", "fold", "id", "target", "prediction"]].to_numpy().tolist() == [
        ["dummy", 1, "b", 1.0, 3.0],
        ["dummy", 1, "a", 2.0, 4.0],
        ["other", 0, "a", 1.0, 1.5],
        ["other", 0, "b", 2.0, 2.5],
    ]
    assert frame["std"].tolist()[:2] == [5.0, 6.0]
    assert frame["std"].isna().tolist()[2:] == [True, True]
    assert frame["key"].tolist()[:2] == [plain.key] * 2
    assert not any(name.startswith("p_") for name in frame)


def test_probabilities_of_several_classes_have_a_column_each() -> None:
    values = [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]
    three = record(kind="multiclass", predictions=RecordedPredictions(ids=["a", "b"], targets=[0, 2], values=values))
    frame = predictions_frame([record(), three])
    assert frame[["p_0", "p_1", "p_2"]].to_numpy()[2:].tolist() == values
    assert frame[["p_0", "p_1", "p_2"]].isna().all(axis=1).tolist() == [True, True, False, False]
    assert frame["prediction"].isna().tolist() == [False, False, True, True]


def test_no_records_make_empty_frames_with_all_columns() -> None:
    assert list(scores_frame([])) == list(DTYPES)
    assert len(predictions_frame([])) == 0
    assert {"id", "target", "prediction", "std"} <= set(predictions_frame([]))
    assert leaderboards(scores_frame([])) == []


# ---------------------------------------------------------------------- a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = RecordStore(tmp_path / "records")
    for fold in range(3):
        store.write(record(fold + 1.0, fold=fold))
    store.write(record(9.0, label="other", task="mine"))
    return tmp_path


def test_a_folder_is_read_with_its_problems(folder: Path) -> None:
    (folder / "records" / "mine" / "other" / "cut.json").write_text("{")
    results = load_results(folder)
    (problem,) = results.problems
    assert "cut.json: is not a complete record" in str(problem)
    assert len(results) == 4
    assert results.records == RecordStore(folder / "records").read_all()[0]
    pd.testing.assert_frame_equal(results.scores, scores_frame(results.records))
    pd.testing.assert_frame_equal(results.predictions, predictions_frame(results.records))
    assert repr(results) == f"<Results of {folder}: 4 runs, 2 tasks, 2 models, 1 unreadable file>"
    page = results._repr_html_()
    assert page.count("<tr") == 3
    assert "unreadable file" in page
    assert page.startswith("<p>&lt;Results")


def test_predictions_are_read_when_they_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    plain = RecordStore.read

    def counted(store: RecordStore, path: Path) -> Record:
        read.append(path)
        return plain(store, path)

    monkeypatch.setattr(RecordStore, "read", counted)
    results = load_results(folder)
    assert len(read) == 4
    selected = results.select(task="mine")
    assert len(read) == 4
    assert selected.predictions["model"].tolist() == ["other", "other"]
    assert len(read) == 5
    assert len(results.predictions) == 8
    assert len(results.predictions) == 8  # kept
    assert len(read) == 9


def test_runs_are_selected_by_any_column(folder: Path) -> None:
    results = load_results(folder)
    assert [r.spec.fold for r in results.select(fold=[0, 2], model="dummy").records] == [0, 2]
    chosen = results.select(fold=range(1, 3))
    assert chosen.scores.index.tolist() == [0] * 4 + [1] * 4
    assert [r.spec.fold for r in chosen.records] == [1, 2]
    assert len(results.select(model="gone")) == len(results.select(model="gone").predictions) == 0
    with pytest.raises(UnknownNameError, match="Did you mean 'model'"):
        results.select(modell="dummy")


def test_a_file_deleted_meanwhile_is_named(folder: Path) -> None:
    results = load_results(folder)
    path = RecordStore(folder / "records").paths()[0]
    path.unlink()
    with pytest.raises(RecordError, match=path.name):
        _ = results.predictions


def test_a_folder_without_records_says_what_to_do(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match=rf"{folder.name}: has no records .* run a suite first"):
            load_results(folder)


def test_results_of_records_in_memory() -> None:
    results = Results([record(fold=0), record(fold=1)])
    assert repr(results) == "<Results: 2 runs, 1 task, 1 model>"
    assert repr(Results([])) == "<Results: 0 runs>"
    assert results.records == [record(fold=0), record(fold=1)]
    assert len(results.predictions) == 4


def test_all_committed_records_and_studies_can_be_read() -> None:
    for folder in (ROOT / "results", ROOT / "results" / "periodicity", ROOT / "results" / "tuning"):
        results = load_results(folder)
        assert results.problems == []
        assert results.scores["key"].nunique() == len(results) == len(RecordStore(folder / "records").paths())
    studies, problems = StudyStore(ROOT / "results" / "tuning" / "studies").read_all()
    assert studies
    assert problems == []


def test_public_names_need_no_pandas_until_frames_are_used() -> None:
    program = (
        "import sys\n"
        "from crystalbench.results import Record, RecordStore, RunSpec, Study\n"
        "print('pandas' in sys.modules)\n"
        "from crystalbench.results import load_results\n"
        "print('pandas' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == ["False", "True"]
    import crystalbench.results

    assert set(crystalbench.results.__all__) == set(dir(crystalbench.results)) == set(crystalbench.results._MODULES)
    with pytest.raises(AttributeError, match="no attribute 'Rekord'"):
        _ = crystalbench.results.Rekord  # type: ignore[attr-defined]


def test_many_records_make_leaderboards_in_little_time_and_memory() -> None:
    """Of 2,000 records with 300 samples each, only scores stay in memory; 10,000 then fit in 2 GB and 30 s."""
    n = 300
    made = RecordedPredictions(ids=[f"mb-{i}" for i in range(n)], targets=[0.1] * n, values=[0.2] * n)
    plain = record(predictions=made)

    def some() -> list[Record]:
        return [
            plain.model_copy(
                update={"spec": spec(fold=i % 5, seed=i // 50, model=f"m{i // 5 % 10}"), "label": f"{i % 50 // 5}"}
            )
            for i in range(2000)
        ]

    records = some()
    tracemalloc.start()
    begin = time.perf_counter()
    (board,) = leaderboards(scores_frame(iter(records)))
    seconds, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len([entry for entry in board.entries if entry.source == "ours"]) == 10
    assert seconds < 20  # measured without tracing: 0.5 s
    assert peak < 100e6
