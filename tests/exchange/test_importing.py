from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from foreign import GLASS, STEELS, write_results_file
from helpers import real_file, record
from typer.testing import CliRunner

import crystalbench as cb
from crystalbench.cli.app import app
from crystalbench.errors import ConfigError, DataError, RecordError
from crystalbench.evaluation.board import IMPORTED, OURS, PUBLISHED
from crystalbench.evaluation.calibration import calibration
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.metrics import score
from crystalbench.evaluation.predicted import predicted_rows
from crystalbench.exchange.importing import import_path
from crystalbench.results import RecordStore, load_results
from crystalbench.results.entry import EntryStore
from crystalbench.results.record import RecordedPredictions, RowCounts

Frame = pd.DataFrame


def test_a_table_of_published_predictions_is_scored_fold_by_fold(
    published: Path, tmp_path: Path, steels: Frame
) -> None:
    done = import_path(published, tmp_path / "results")
    assert [(d.entry.name, d.entry.source, d.is_new) for d in done] == [
        ("CrabNet", "published", True),
        ("New <net>", "published", True),
    ]
    results = load_results(tmp_path / "results")
    table = pd.read_parquet(published / "predictions" / "steels.parquet")
    for fold in range(5):
        mine = steels["fold"] == fold
        expected = score("regression", steels["target"][mine], table["CrabNet"][mine])
        found = results.select(model="CrabNet", fold=fold).scores.set_index("metric")["score"]
        assert found.to_dict() == pytest.approx(expected, rel=1e-12)
    assert done[0].remarks == ()
    assert "not better than the dummy" in done[1].remarks[0]


def test_an_imported_entry_replaces_the_published_scores_of_its_name(published: Path, tmp_path: Path) -> None:
    import_path(published, tmp_path)
    (board,) = leaderboards(load_results(tmp_path).scores)
    crabnet = [entry for entry in board.entries if entry.model == "CrabNet"]
    assert [(entry.source, entry.by_row, entry.folds) for entry in crabnet] == [(PUBLISHED, True, 5)]
    assert crabnet[0].scores["mae"].mean < 60  # of the invented targets; the published one is above 100
    assert [e.by_row for e in board.entries if e.model == "AMMExpress v2020"] == [False]
    assert (board.rows, board.folds_total, board.unit) == (312, 5, "MPa")
    assert crabnet[0].fit_seconds is None


def test_importing_again_changes_nothing_and_other_predictions_need_another_name(
    published: Path, tmp_path: Path
) -> None:
    first = import_path(published, tmp_path)
    again = import_path(published, tmp_path)
    assert [(d.path, d.is_new) for d in again] == [(d.path, False) for d in first]
    file = published / "predictions" / "steels.parquet"
    table = pd.read_parquet(file)
    table["CrabNet"] += 1
    table[["id", "fold", "CrabNet"]].to_parquet(file)
    with pytest.raises(ConfigError, match=r"'CrabNet' with other predictions; delete it, or give another --name"):
        import_path(published, tmp_path)
    assert import_path(published, tmp_path, name="CrabNet 2")[0].is_new


def test_entries_and_our_runs_of_the_same_rows_share_a_board_and_a_comparison(
    published: Path, tmp_path: Path, steels: Frame
) -> None:
    write_our_records(tmp_path, steels, steels["target"].to_numpy() + 10)
    import_path(published, tmp_path)
    results = load_results(tmp_path)
    (board,) = leaderboards(results.scores)
    assert {(e.model, e.source) for e in board.entries if e.by_row} == {
        ("mine", OURS),
        ("CrabNet", PUBLISHED),
        ("New <net>", PUBLISHED),
    }
    found = cb.compare(results, "mine", "CrabNet")
    assert found.table["rows"].sum() == 312
    crabnet = pd.read_parquet(published / "predictions" / "steels.parquet")["CrabNet"]
    assert found.table["b"].mean() == pytest.approx(
        np.mean([np.abs(crabnet - steels["target"])[steels["fold"] == fold].mean() for fold in range(5)])
    )
    parts, notes = predicted_rows(results.scores, results.predictions, STEELS)
    assert (sorted(parts), notes) == (["CrabNet", "New <net>", "mine"], [])


def test_runs_on_other_targets_are_on_another_board(published: Path, tmp_path: Path, steels: Frame) -> None:
    changed = steels.assign(target=steels["target"] + (steels["id"] == "mb-steels-007"))
    write_our_records(tmp_path, changed, steels["target"].to_numpy())
    import_path(published, tmp_path)
    boards = leaderboards(load_results(tmp_path).scores)
    assert sorted(sorted(e.source for e in board.entries if e.by_row) for board in boards) == [
        [OURS],
        [PUBLISHED, PUBLISHED],
    ]


def write_our_records(results: Path, truth: Frame, values: np.ndarray) -> None:
    store = RecordStore(results / "records")
    for fold in range(5):
        mine = (truth["fold"] == fold).to_numpy()
        made = RecordedPredictions(
            ids=truth["id"][mine].tolist(), targets=truth["target"][mine].tolist(), values=values[mine].tolist()
        )
        rows = RowCounts(train=200, valid=50, test=int(mine.sum()), task=312, task_total=312, task_folds=5)
        store.write(record(10.0, task=STEELS, fold=fold, label="mine", unit="MPa", predictions=made, rows=rows))


def test_results_files_of_matbench(tmp_path: Path, published: Path, steels: Frame) -> None:
    values = steels["target"].to_numpy() + 5.0
    file = write_results_file(tmp_path / "foreign", STEELS, steels, values)
    (done,) = import_path(file, tmp_path / "results", labels=published / "labels")
    assert (done.entry.name, done.entry.task, done.entry.source, done.entry.notes) == (
        "Foreign",
        STEELS,
        "published",
        [],
    )
    assert [fold.scores["mae"] for fold in done.entry.folds] == pytest.approx([5.0] * 5)
    other = steels.assign(target=steels["target"] + 100.0)
    file = write_results_file(tmp_path / "wrong", STEELS, other, values)
    (done,) = import_path(file, tmp_path / "results", labels=published / "labels", name="wrong")
    assert done.entry.notes[0].startswith("its file records other scores than its predictions have: mae of fold 0 (95")


def test_a_csv_file_is_imported_and_ranked(tmp_path: Path, csv_file: Callable[..., Path]) -> None:
    ran = CliRunner().invoke(
        app, ["import", str(csv_file()), "--task", GLASS, "--results", str(tmp_path / "r"), "--note", "by hand"]
    )
    assert ran.exit_code == 0, ran.output
    assert "matbench_glass: mine: ROC-AUC" in ran.output
    assert "note mine: by hand" in ran.output
    (board,) = leaderboards(load_results(tmp_path / "r").scores)
    (mine,) = (entry for entry in board.entries if entry.source == IMPORTED)
    assert (mine.model, mine.note, mine.folds, board.is_partial) == ("mine", "by hand", 5, False)
    ran = CliRunner().invoke(app, ["report", "--results", str(tmp_path / "r")])
    assert ran.exit_code == 0, ran.output
    assert "imported" in ran.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[:-3], "3 of 5,680 rows are missing: mb-glass-5678, .*--partial"),
        (lambda f: f.replace("mb-glass-0002", "mb-glass-9999"), "the first in line 3: 'mb-glass-9999'"),
        (lambda f: f.replace("mb-glass-0002", "mb-glass-0001"), "mb-glass-0001 is in line 2 and line 3"),
        (lambda f: f.assign(prediction=f["prediction"].astype(str).replace(f["prediction"].astype(str)[4], "x")),
         r"the prediction of mb-glass-0005 \(line 6\) is not a finite number"),
        (lambda f: f.assign(prediction=f["prediction"] + 0.5), "is not a probability, 0 to 1"),
        (lambda f: f.assign(std=-1.0), r"the standard deviation of mb-glass-0001 \(line 2\) is not a number of 0 or"),
        (lambda f: f.rename(columns={"prediction": "value"}), "has no column prediction"),
        (lambda f: f.assign(error=0.0), "has the unknown column error"),
        (lambda f: f.iloc[:0], "has no predictions"),
    ],
)  # fmt: skip
def test_what_is_refused_names_the_file_the_id_and_the_line(
    change: Callable[[Frame], Frame], message: str, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"mine\.csv: .*{message}"):
        import_path(csv_file(change), tmp_path / "r", task=GLASS)
    assert not (tmp_path / "r").exists()


def test_partial_predictions_are_stated_and_compared_on_common_ids(
    tmp_path: Path, csv_file: Callable[..., Path]
) -> None:
    import_path(csv_file(), tmp_path / "r", task=GLASS)
    part = csv_file(lambda frame: frame.iloc[::2], "part.csv")
    (done,) = import_path(part, tmp_path / "r", task=GLASS, partial=True)
    assert (done.entry.rows, done.entry.notes) == (2840, ["2,840 of 5,680 rows were predicted"])
    results = load_results(tmp_path / "r")
    boards = leaderboards(results.scores)
    assert [(board.rows, board.is_partial) for board in boards] == [(5680, False), (2840, True)]
    assert cb.compare(results, "part", "mine").table[["rows", "difference"]].sum().tolist() == [2840, 0.0]


def test_complete_folds_are_no_other_rows(tmp_path: Path, csv_file: Callable[..., Path], glass: Frame) -> None:
    import_path(csv_file(), tmp_path / "r", task=GLASS)
    part = csv_file(lambda frame: frame[(glass["fold"] < 2).to_numpy()], "two.csv")
    import_path(part, tmp_path / "r", task=GLASS, partial=True)
    (board,) = leaderboards(load_results(tmp_path / "r").scores)
    assert {e.model: e.folds for e in board.entries if e.by_row} == {"mine": 5, "two": 2}


def test_labels_leave_metrics_of_probabilities_undefined(tmp_path: Path, csv_file: Callable[..., Path]) -> None:
    file = csv_file(lambda frame: frame.assign(prediction=frame["prediction"] > 0.5))
    (done,) = import_path(file, tmp_path, task=GLASS)
    assert {done.entry.folds[0].scores[name] for name in ("rocauc_true", "log_loss")} == {None}
    assert done.remarks == ("gives labels, not probabilities, so rocauc_true and log_loss are undefined",)


def test_missing_targets_name_what_to_do(published: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"matbench_steels: its targets are needed .* with --labels, or the data"):
        import_path(published / "predictions" / "steels.parquet", tmp_path, labels=tmp_path)


def test_folds_and_options_that_do_not_fit(published: Path, tmp_path: Path, steels: Frame) -> None:
    with pytest.raises(ConfigError, match="has 2 models, which its columns name; leave out --name"):
        import_path(published, tmp_path, name="one")
    file = published / "predictions" / "steels.parquet"
    pd.read_parquet(file).assign(fold=(steels["fold"] + 1) % 5).to_parquet(file)
    with pytest.raises(
        DataError, match=r"312 rows are in another fold .* mb-steels-001 \(row 1\) is in fold 0 instead"
    ):
        import_path(published, tmp_path)
    with pytest.raises(ConfigError, match="give the name of its task with --task"):
        import_path(file.rename(file.with_suffix(".csv")), tmp_path)
    with pytest.raises(DataError, match=r"nothing: there is no such file or folder"):
        import_path(tmp_path / "nothing", tmp_path)


def test_truth_values_are_no_predictions_of_numbers(published: Path, tmp_path: Path, steels: Frame) -> None:
    file = published / "predictions" / "steels.parquet"
    steels[["id", "fold"]].assign(mine=True).to_parquet(file)
    with pytest.raises(DataError, match=r"the prediction of mb-steels-001 .* is true or false, not a number"):
        import_path(published, tmp_path)
    table = steels[["id"]].assign(prediction=steels["target"].astype(str))
    table.loc[3, "prediction"] = "True"
    table.to_csv(published / "mine.csv", index=False)
    with pytest.raises(DataError, match=r"mb-steels-004 \(line 5\) is true or false, not a number"):
        import_path(published / "mine.csv", tmp_path, task="matbench_steels")


def test_files_that_would_be_read_in_part_are_refused(published: Path, tmp_path: Path, steels: Frame) -> None:
    text = steels[["id"]].assign(prediction=steels["target"]).to_csv(index=False)
    (published / "mine.csv").write_text(text.replace(".", ".\0", 1))
    with pytest.raises(DataError, match=r"mine\.csv: cannot be read as CSV \(it contains zero bytes"):
        import_path(published / "mine.csv", tmp_path, task="matbench_steels")
    file = published / "predictions" / "steels.parquet"
    steels[["id"]].assign(fold="a", mine=1.0).to_parquet(file)
    with pytest.raises(DataError, match=r"steels\.parquet: column 'fold' must hold integers in every row"):
        import_path(published, tmp_path)
    results = published / "results.json.gz"
    for content, reason in (("[" * 100_000, "recursion"), ('{"tasks": {}, "tasks": {}}', "'tasks'")):
        results.write_bytes(gzip.compress(content.encode()))
        with pytest.raises(
            DataError, match=rf"results\.json\.gz: is not a results file of the package matbench .*{reason}"
        ):
            import_path(results, tmp_path)


def test_damaged_entries_are_reported_and_the_others_count(published: Path, tmp_path: Path) -> None:
    first, second = import_path(published, tmp_path / "r")
    first.path.write_bytes(first.path.read_bytes()[:100])
    results = load_results(tmp_path / "r")
    assert [str(problem).split(":")[0] for problem in results.problems] == [str(first.path)]
    assert results.scores["model"].unique().tolist() == [second.entry.name]
    store, rows = EntryStore(tmp_path / "r" / "entries"), EntryStore(tmp_path / "r" / "entries").read_rows(second.path)
    store.write(second.entry, rows.assign(prediction=rows["prediction"] + 1))
    with pytest.raises(RecordError, match="was changed after it was written"):
        _ = results.predictions


def test_standard_deviations_of_an_entry_are_calibrated(published: Path, tmp_path: Path, steels: Frame) -> None:
    import_path(published, tmp_path / "r")
    errors = np.random.default_rng(0).normal(size=len(steels))
    table = steels[["id"]].assign(prediction=steels["target"] + 9 * errors, std=9.0)
    table.to_csv(tmp_path / "steels.csv", index=False)
    (mine,) = import_path(tmp_path / "steels.csv", tmp_path / "r", task="matbench_steels", labels=published / "labels")
    results = load_results(tmp_path / "r")
    assert set(results.scores.loc[results.scores["has_std"], "model"]) == {mine.entry.name}
    frame = calibration(results.predictions_with_std)
    assert set(frame["model"]) == {mine.entry.name}
    coverage = frame[frame["quantity"] == "coverage"]
    assert np.allclose(coverage["value"], coverage["level"], atol=0.06)
    assert frame["rows"].unique().tolist() == [312]


def test_an_entry_whose_rows_cannot_be_read_is_a_problem(published: Path, tmp_path: Path) -> None:
    first, second = import_path(published, tmp_path / "r")
    content = bytearray(first.path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # with the metadata
    content[4:footer] = bytes(footer - 4)
    first.path.write_bytes(content)
    assert EntryStore(tmp_path / "r" / "entries").read(first.path) == first.entry
    results = load_results(tmp_path / "r")
    assert [str(problem).split(":")[0] for problem in results.problems] == [str(first.path)]
    assert results.scores["model"].unique().tolist() == [second.entry.name]


@pytest.mark.slow
def test_recomputed_scores_equal_the_published_ones(tmp_path: Path) -> None:
    """All 13 tasks and all entries: the tables hold float32, so errors agree to 2e-7 and scores of labels exactly."""
    scores_file = real_file("matbench_v0.1_scores.csv")
    import_path(scores_file.parent, tmp_path)
    recorded = pd.read_csv(scores_file, dtype={"fold": str})
    recorded = recorded[recorded["source"].isin(["json", "history"]) & ~recorded["fold"].isin(["mean", "std"])]
    recorded = recorded.assign(task="matbench_" + recorded["task"], fold=recorded["fold"].astype(int))
    found = load_results(tmp_path).scores.merge(
        recorded, left_on=["task", "model", "fold", "metric"], right_on=["task", "algorithm", "fold", "metric"]
    )
    assert len(found) == 2030
    assert found["task"].nunique() == 13
    np.testing.assert_allclose(found["score"], found["value"], rtol=2e-7)
    labels = found[found["metric"].isin(["rocauc", "accuracy", "balanced_accuracy", "f1"])]
    np.testing.assert_allclose(labels["score"], labels["value"], rtol=1e-15)
