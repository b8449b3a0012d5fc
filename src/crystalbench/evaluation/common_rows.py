"""Test rows that two entries have in common: pairing by id, with checks that the rows are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.errors import DataError
from crystalbench.evaluation.bootstrap import FoldLosses, fold_losses
from crystalbench.evaluation.metrics import score


@dataclass(frozen=True, eq=False)
class CommonRows:
    """Runs of two entries on the rows of one fold that all of them predicted.

    Attributes:
        number: number of the fold.
        ids: (n,) ids of the rows.
        a: rows of the predictions frame for each seed of one entry, in the order of the ids.
        b: those of the other entry.
    """

    number: int
    ids: pd.Index[str]
    a: list[pd.DataFrame]
    b: list[pd.DataFrame]

    @classmethod
    def of(cls, number: int, rows_a: pd.DataFrame, rows_b: pd.DataFrame) -> CommonRows:
        """From the rows of two entries in a predictions frame.

        Raises:
            DataError: a run predicted a row twice.
        """
        a, b = ([run.set_index("id") for _, run in rows.groupby("seed")] for rows in (rows_a, rows_b))
        common = a[0].index
        for run in (*a, *b):
            if (twice := run.index.duplicated()).any():
                raise DataError(f"{run.index[twice][0]} is predicted twice by one run; pass each record once")
            common = common.intersection(run.index)
        return cls(number, common, *([run.loc[common] for run in runs] for runs in (a, b)))

    def scores(self, metric: str) -> tuple[list[float], list[float]]:
        """Scores of both entries by seed."""
        a, b = ([_score(run, metric) for run in runs] for runs in (self.a, self.b))
        return a, b

    def losses(self, metric: str) -> FoldLosses:
        """Losses of both entries by seed and row."""
        a, b = ([_values(run) for run in runs] for runs in (self.a, self.b))
        return fold_losses(metric, self.ids.to_numpy(), self.a[0]["target"].to_numpy(), a, b)


def check_rows(rows_a: pd.DataFrame, rows_b: pd.DataFrame, title: str) -> None:
    """Check that rows with the same id have the same target and fold.

    Raises:
        DataError: they do not.
    """
    facts = [rows.drop_duplicates("id").set_index("id")[["target", "fold"]] for rows in (rows_a, rows_b)]
    both = facts[0].join(facts[1], how="inner", lsuffix="_a", rsuffix="_b")
    for what in ("target", "fold"):
        one, other = both[f"{what}_a"], both[f"{what}_b"]
        if (wrong := (one != other).to_numpy()).any():
            raise DataError(
                f"{title}: the {what} of {both.index[wrong][0]} is {one[wrong].iloc[0]:g} in one and "
                f"{other[wrong].iloc[0]:g} in the other; run one of them again with the same data"
            )


def check_data(rows_a: pd.DataFrame, rows_b: pd.DataFrame, title: str) -> None:
    """Check that entries on different data of the task also predicted different rows, as partial tasks do.

    Raises:
        DataError: they are of the same rows of different data.
    """
    data_a, data_b = (str(rows["data"].iloc[0]) for rows in (rows_a, rows_b))
    folds = set(rows_a["fold"]) & set(rows_b["fold"])
    ids_a, ids_b = (set(rows.loc[rows["fold"].isin(folds), "id"]) for rows in (rows_a, rows_b))
    if data_a != data_b and ids_a == ids_b:
        raise DataError(
            f"{title}: they predicted the same rows of different data ({data_a[:8]} and {data_b[:8]}): targets or "
            "structures of the task were changed in between; run one of them again with the same data"
        )


def test_over_train(rows: pd.DataFrame, folds: Sequence[int]) -> float:
    """Test rows over training rows, both means over the folds.

    Raises:
        DataError: there are no training rows.
    """
    test = rows[rows["fold"].isin(folds)].groupby("fold")["id"].nunique().mean()
    train = rows["rows"].iloc[0] - test
    if train <= 0:
        raise DataError(f"{rows['model'].iloc[0]}: {test:g} test rows per fold of {rows['rows'].iloc[0]} rows in all")
    return float(test / train)


def _score(run: pd.DataFrame, metric: str) -> float:
    return score(str(run["kind"].iloc[0]), run["target"].to_numpy(), _values(run))[metric]


def _values(run: pd.DataFrame) -> npt.NDArray[np.float64]:
    """(n,) predictions of a run, or (n, classes) probabilities of multiclass targets."""
    if str(run["kind"].iloc[0]) != "multiclass":
        return run["prediction"].to_numpy(np.float64)
    return run[[name for name in map(str, run) if name.startswith("p_") and run[name].notna().any()]].to_numpy()
