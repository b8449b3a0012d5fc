"""Compare this package with everything that is published about Matbench v0.1.

``python -m benchmarks.check_published DIR`` needs ``DIR/labels/TASK.parquet`` (id, fold, target, formula),
``DIR/predictions/TASK.parquet`` (id, fold, and one column of predictions per algorithm) and
``DIR/matbench_v0.1_scores.csv`` (algorithm, task, fold, metric, value, source). It exits with 1 if, for any task,

* our folds, ids or content fingerprint differ from the published ones,
* our scores of the published predictions differ from the published scores of each fold,
* predicting the mean of our training parts does not give the published scores of the dummy regressor.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from crystalbench.evaluation.metrics import score
from crystalbench.evaluation.published import FOLD_COLUMNS, published_scores
from crystalbench.targets import Kind
from crystalbench.tasks.matbench.folds import official_folds
from crystalbench.tasks.matbench.official import OFFICIAL, OfficialTask, content_fingerprint, official_ids

TOLERANCE = 1e-6
"""Largest relative difference that is due to predictions stored in 32 bits."""

PACKAGED_TOLERANCE = 6e-7
"""Largest relative difference of the table in the package, which has 7 digits."""


@dataclass
class Report:
    """The results of the checks of one task."""

    task: OfficialTask
    failures: list[str] = field(default_factory=list)
    compared: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    dummy: float = float("nan")

    def expect(self, condition: bool, failure: str) -> None:
        """Record a failure if a condition does not hold."""
        if not condition:
            self.failures.append(failure)

    def compare(self, metric: str, ours: float, theirs: float, what: str) -> None:
        """Compare two scores."""
        difference = abs(ours - theirs) / max(abs(theirs), 1e-12)
        self.compared += 1
        self.largest[metric] = max(self.largest.get(metric, 0.0), difference)
        self.expect(difference <= TOLERANCE, f"{what} {metric}: {ours!r}, published {theirs!r}")


def check_task(task: OfficialTask, directory: Path, scores: pd.DataFrame) -> Report:
    """Run all checks of one task."""
    report = Report(task)
    labels = pd.read_parquet(directory / "labels" / f"{task.short}.parquet")
    predictions = pd.read_parquet(directory / "predictions" / f"{task.short}.parquet")
    targets, folds = labels["target"].to_numpy(), official_folds(task.name)
    report.expect(np.array_equal(folds, labels["fold"]), "folds differ")
    report.expect(np.array_equal(official_ids(task.name), labels["id"].astype(str)), "ids differ")
    report.expect(np.array_equal(labels["id"], predictions["id"]), "predictions are in another order")
    report.expect(content_fingerprint(labels["formula"], targets) == task.fingerprint, "fingerprint differs")
    published = scores[scores["task"] == task.short].set_index(["algorithm", "fold", "metric"])["value"].sort_index()
    for algorithm in predictions.columns.drop(["id", "fold"]):
        for fold in range(len(FOLD_COLUMNS)):
            test = folds == fold
            ours = score(task.kind, targets[test], predictions.loc[test, algorithm])
            theirs = published[algorithm, str(fold)]
            for metric in theirs.index.intersection(list(ours)):
                report.compare(metric, ours[metric], theirs[metric], f"{algorithm}, fold {fold},")
    check_dummy(report, targets, folds, published)
    return report


def check_dummy(report: Report, targets: np.ndarray, folds: np.ndarray, published: pd.Series) -> None:
    """Reproduce the published dummy entry from our folds.

    The dummy regressor predicts the mean of the training part. The dummy classifier drew random labels, with an unknown
    seed, in the proportions of the training part; its accuracy must be within 4 standard deviations of the expected
    one.
    """
    differences = []
    for fold in range(len(FOLD_COLUMNS)):
        train, test = targets[folds != fold], targets[folds == fold]
        if report.task.kind is Kind.REGRESSION:
            ours = score(report.task.kind, test, np.full(len(test), train.mean()))
            differences += [
                abs(ours[metric] / published["Dummy", str(fold), metric] - 1) for metric in ("mae", "rmse", "max_error")
            ]
        else:
            right = np.where(test == 1, train.mean(), 1 - train.mean())
            spread = np.sqrt((right * (1 - right)).sum()) / len(test)
            differences.append(abs(published["Dummy", str(fold), "accuracy"] - right.mean()) / spread)
    report.dummy = max(differences)
    limit = 1e-9 if report.task.kind is Kind.REGRESSION else 4.0
    report.expect(report.dummy <= limit, f"the dummy entry is not reproduced: {report.dummy}")


def check_packaged(scores: pd.DataFrame) -> tuple[int, float]:
    """Compare the table in the package with the long one; returns the number of values and the largest difference."""
    packaged = published_scores()
    packaged["task"] = packaged["task"].str.removeprefix("matbench_")
    long = packaged.melt(["task", "algorithm", "metric"], FOLD_COLUMNS, "fold", "ours")
    long["fold"] = long["fold"].str.removeprefix("fold_")
    merged = long.merge(scores, on=["task", "algorithm", "metric", "fold"], validate="one_to_one")
    if len(merged) != len(long):
        raise SystemExit("the table in the package has entries that the published one lacks")
    return len(merged), float((merged["ours"] / merged["value"] - 1).abs().max())


def main(directory: Path) -> int:
    """Run all checks and print a table; returns the exit status."""
    scores = pd.read_csv(directory / "matbench_v0.1_scores.csv", dtype={"fold": str})
    failed = total = 0
    print(
        f"{'task':14} {'rows':>7}  {'folds, ids, content':19}  {'scores':>6}  {'largest relative difference':78}  dummy"
    )
    for task in OFFICIAL.values():
        start = time.perf_counter()
        report = check_task(task, directory, scores)
        largest = ", ".join(f"{name} {value:.1e}" for name, value in report.largest.items() if value > 0) or "0"
        content = "differ" if any("differ" in failure for failure in report.failures) else "equal"
        dummy = f"{report.dummy:.1e}" if task.kind is Kind.REGRESSION else f"{report.dummy:.1f} sigma"
        print(
            f"{task.short:14} {task.n_samples:7}  {content:19}  {report.compared:6}  {largest:78}  {dummy:9}"
            f"  {time.perf_counter() - start:4.1f} s"
        )
        failed, total = failed + len(report.failures), total + report.compared
        for failure in report.failures[:10]:
            print(f"  FAILED {failure}")
    compared, largest_packaged = check_packaged(scores)
    print(f"scores recomputed from predictions: {total} fold scores of {len(OFFICIAL)} tasks")
    print(f"table in the package: {compared} fold scores, largest relative difference {largest_packaged:.1e}")
    failed += largest_packaged > PACKAGED_TOLERANCE
    print(f"{failed} checks failed" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.check_published DIR")
    sys.exit(main(Path(sys.argv[1])))
