from __future__ import annotations

import numpy as np
import pytest
from helpers import record

from crystalbench.evaluation.factorial import VARIANT_COLUMNS, Contrast, variants_frame
from crystalbench.evaluation.leaderboard import Board, leaderboards
from crystalbench.evaluation.significance import corrected_t_test
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record

OFFSETS = np.array([1.0, -2.0, 3.0, 0.5, -1.5])
"""Of the folds, which all variants share."""


def runs(label: str, mae: float, wiggle: float = 0.0, seeds: int = 1, **changes: object) -> list[Record]:
    """A variant whose folds differ by `OFFSETS`, and a little by itself."""
    return [
        record(
            30 + mae + OFFSETS[fold] + wiggle * (-1) ** fold + 0.01 * seed,
            model=label,
            label=label,
            fold=fold,
            seed=seed,
        )
        for fold in range(5)
        for seed in range(seeds)
    ]


@pytest.fixture
def boards() -> list[Board]:
    """Directions are worth 5, capsules nothing."""
    records = [
        *runs("full", 0.0, 0.1),
        *runs("mean", 0.0, -0.2),
        *runs("full_flat", 5.0, 0.3),
        *runs("mean_flat", 5.1, -0.1),
        *runs("dummy", 300.0),
    ]
    return leaderboards(scores_frame(records))


CONTRASTS = (
    Contrast("directions", ("full", "mean"), ("full_flat", "mean_flat")),
    Contrast("capsules", ("full", "full_flat"), ("mean", "mean_flat")),
    Contrast("not run", ("full",), ("nobody",)),
)


def test_planted_effects_are_found_and_others_are_not(boards: list[Board]) -> None:
    frame = variants_frame(boards, "full", CONTRASTS)
    assert tuple(frame.columns) == VARIANT_COLUMNS
    rows = frame.set_index("variant")
    assert list(rows.index) == ["full", "mean", "full_flat", "mean_flat", "directions", "capsules"]
    assert rows.loc["directions", "difference"] == pytest.approx(-5.08)
    assert rows.loc["directions", "p_holm"] < 0.001
    assert rows.loc["capsules", "low"] < 0 < rows.loc["capsules", "high"]
    assert rows.loc["full_flat", "mae"] == pytest.approx(30 + 5 + OFFSETS.mean() + 0.3 / 5)
    assert np.isnan(rows.loc["full", "difference"])


def test_a_difference_is_that_of_the_corrected_test(boards: list[Board]) -> None:
    row = variants_frame(boards, "full").set_index("variant").loc["mean_flat"]
    differences = 5.1 + np.array([-0.2, 0.2] * 2 + [-0.2])
    expected = corrected_t_test(differences, 253 / (1265 - 253))
    assert row["difference"] == pytest.approx(float(expected.mean))
    assert row["p"] == pytest.approx(float(expected.p), rel=1e-6)
    assert (row["low"], row["high"]) == pytest.approx((float(expected.low), float(expected.high)))


def test_seeds_that_one_variant_lacks_do_not_count() -> None:
    boards = leaderboards(scores_frame([*runs("full", 0, seeds=3), *runs("mean", 1, 0.5, seeds=2)]))
    row = variants_frame(boards, "full").set_index("variant").loc["mean"]
    assert row["seeds"] == 2
    assert row["difference"] == pytest.approx(1 + 0.5 / 5)


def test_boards_without_the_reference_have_scores_only(boards: list[Board]) -> None:
    frame = variants_frame(boards, "sen")
    assert sorted(frame["variant"]) == ["full", "full_flat", "mean", "mean_flat"]
    assert frame["difference"].isna().all()
    assert frame["mae"].notna().all()
