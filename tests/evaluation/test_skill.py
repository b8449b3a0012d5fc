"""Skill: the share of the dummy's error that is removed, with paired intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crystalbench.evaluation.skill import skill_of

FOLDS = range(5)
DUMMY = {0: [10.0], 1: [14.0], 2: [8.0], 3: [12.0], 4: [6.0]}


def constant(factor: float) -> dict[int, list[float]]:
    return {fold: [factor * losses[0]] for fold, losses in DUMMY.items()}


def test_a_model_that_removes_the_same_share_everywhere_has_no_uncertainty() -> None:
    skill = skill_of(constant(0.25), DUMMY, FOLDS, 0.25)
    assert skill is not None
    found = skill.interval
    assert [found.value, found.low, found.high] == pytest.approx([0.75] * 3)
    assert skill.resolved


def test_the_skill_is_the_ratio_of_means_and_its_interval_that_of_the_linearised_folds() -> None:
    losses = {0: [4.0], 1: [9.0], 2: [5.0], 3: [4.0], 4: [5.0]}
    skill = skill_of(losses, DUMMY, FOLDS, 0.25)
    assert skill is not None
    assert skill.value == pytest.approx(1 - 27 / 50)
    residuals = (np.array([4, 9, 5, 4, 5]) - 27 / 50 * np.array([10, 14, 8, 12, 6])) / 10
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 0.25) * residuals.var(ddof=1))
    assert skill.interval.high - skill.value == pytest.approx(half)
    assert skill.value - skill.interval.low == pytest.approx(half)


def test_the_variance_between_seeds_widens_the_interval() -> None:
    one = skill_of(constant(0.5), DUMMY, FOLDS, 0.25)
    two = skill_of({fold: [v[0] - 2, v[0] + 2] for fold, v in constant(0.5).items()}, DUMMY, FOLDS, 0.25)
    assert one is not None
    assert two is not None
    assert two.value == pytest.approx(one.value)
    assert one.interval.high - one.interval.low < 1e-9
    assert two.interval.high - two.interval.low > 0.1


def test_differences_and_shares_are_paired() -> None:
    hard = {0: 5.0, 1: -4.0, 2: 3.0, 3: -6.0, 4: 2.0}  # folds that are hard for both views, not for the dummy
    full, view = (
        skill_of({fold: [base + hard[fold]] for fold in FOLDS}, {fold: [20.0] for fold in FOLDS}, FOLDS, 0.25)
        for base in (8.0, 14.0)
    )
    assert full is not None
    assert view is not None
    assert full.interval.high - full.interval.low > 0.4
    difference = full.minus(view)
    assert [difference.value, difference.low, difference.high] == pytest.approx([0.3] * 3)
    share = view.over(full)
    assert share.value == pytest.approx(view.value / full.value)
    assert share.low < share.value < share.high
    same = full.over(full)
    assert [same.value, same.low, same.high] == pytest.approx([1.0] * 3)


def test_a_share_of_a_skill_that_may_be_zero_is_undefined() -> None:
    losses = {0: [12.0], 1: [11.0], 2: [9.0], 3: [12.0], 4: [5.0]}
    skill = skill_of(losses, DUMMY, FOLDS, 0.25)
    assert skill is not None
    assert not skill.resolved
    assert np.isnan(skill.over(skill).value)


def test_one_fold_has_no_interval() -> None:
    skill = skill_of(constant(0.5), DUMMY, [0], 0.25)
    assert skill is not None
    assert skill.value == pytest.approx(0.5)
    assert np.isnan(skill.interval.low)
    assert not skill.resolved


def test_undefined_losses_and_a_perfect_dummy_have_no_skill() -> None:
    assert skill_of(constant(0.5), DUMMY, [], 0.25) is None
    assert skill_of({0: [np.nan], 1: [1.0]}, DUMMY, [0, 1], 0.25) is None
    assert skill_of({0: [1.0]}, {0: [0.0]}, [0], 0.25) is None
