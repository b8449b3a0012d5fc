from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from foreign import GLASS, STEELS

from crystalbench.tasks.matbench.folds import official_folds, official_labels
from crystalbench.tasks.matbench.official import official_ids


@pytest.fixture(scope="session")
def steels() -> pd.DataFrame:
    """Invented targets for the official ids and folds of a small regression task."""
    rng = np.random.default_rng(0)
    ids = official_ids(STEELS)
    return pd.DataFrame({"id": ids, "fold": official_folds(STEELS), "target": rng.normal(1400, 300, len(ids))})


@pytest.fixture(scope="session")
def glass() -> pd.DataFrame:
    """Official ids, folds and labels of a classification task, which are part of the package."""
    return pd.DataFrame({"id": official_ids(GLASS), "fold": official_folds(GLASS), "target": official_labels(GLASS)})


@pytest.fixture
def published(tmp_path: Path, steels: pd.DataFrame) -> Path:
    """A folder with a table of predictions and a folder of labels, laid out as the published ones are."""
    folder = tmp_path / "published"
    (folder / "predictions").mkdir(parents=True)
    (folder / "labels").mkdir()
    steels.to_parquet(folder / "labels" / "steels.parquet")
    rng = np.random.default_rng(1)
    good, bad = steels["target"] + rng.normal(0, 50, len(steels)), steels["target"] + rng.normal(0, 900, len(steels))
    table = steels[["id", "fold"]].assign(CrabNet=good.astype(np.float32), **{"New <net>": bad.astype(np.float32)})
    table.to_parquet(folder / "predictions" / "steels.parquet")
    return folder


@pytest.fixture
def csv_file(tmp_path: Path, glass: pd.DataFrame) -> Callable[..., Path]:
    """A function that writes a CSV file with predictions for the glass task, changed by a function."""

    def write(change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame, name: str = "mine.csv") -> Path:
        noise = np.random.default_rng(2).uniform(0, 0.6, len(glass))
        values = np.where(glass["target"], 1 - noise, noise)
        path = tmp_path / name
        change(pd.DataFrame({"id": glass["id"], "prediction": values})).to_csv(path, index=False)
        return path

    return write
