"""The tests are the published ones, agree with scipy and closed forms, and keep their level in simulations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from crystalbench.evaluation.significance import FoldScores, corrected_t_test, holm, paired_test

# ---------------------------------------------------------------------- the corrected t-test


def test_equal_differences_other_than_zero_are_resolved() -> None:
    found = corrected_t_test([-2.0, -2.0], 0.25)
    assert (found.mean, found.low, found.high, found.p) == (-2, -2, -2, 0)
    assert corrected_t_test([0.0, 0.0], 0.25).p == 1


def test_the_uncorrected_test_is_the_paired_one_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 8))
    expected = stats.ttest_rel(a, b)
    found = corrected_t_test(a - b, 0.0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.mean == pytest.approx((a - b).mean())


def test_the_uncorrected_test_agrees_with_sign_flips_and_the_corrected_one_resolves_less() -> None:
    rng = np.random.default_rng(1)
    signs = np.array(list(itertools.product((-1, 1), repeat=10)))
    for shift in (0.0, 0.4, 0.8):
        d = rng.normal(shift, 1, 10)
        flipped = float((np.abs(signs @ d) >= abs(d.sum()) - 1e-12).mean())
        plain, corrected = (corrected_t_test(d, ratio).p for ratio in (0.0, 1 / 9))
        assert plain == pytest.approx(flipped, abs=0.03)
        assert corrected > plain


def test_many_tests_at_once_are_the_single_ones_and_missing_folds_are_left_out() -> None:
    d = np.random.default_rng(2).normal(size=(3, 5))
    d[1, [0, 3]] = np.nan
    found = corrected_t_test(d, 0.25)
    single = [corrected_t_test(row[np.isfinite(row)], 0.25) for row in d]
    for name in ("mean", "error", "folds", "low", "high", "p"):
        assert getattr(found, name) == pytest.approx([float(getattr(one, name)) for one in single])
    assert found.folds.tolist() == [5, 3, 5]


def test_the_level_is_exact_for_correlated_folds() -> None:
    """Folds correlated by n_test / (n_test + n_train), as the correction assumes: the level is exact."""
    rng = np.random.default_rng(2)
    correlation, folds, repeats = 0.2, 5, 4000
    common, own = rng.normal(size=(repeats, 1)), rng.normal(size=(repeats, folds))
    draws = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
    corrected, plain = (np.mean(corrected_t_test(draws, ratio).p < 0.05) for ratio in (0.25, 0.0))
    assert corrected == pytest.approx(0.05, abs=0.012)
    assert plain > 0.12


def cross_validated_difference(rng: np.random.Generator, rows: int = 60, folds: int = 5) -> np.ndarray:
    """Differences of squared errors by fold between two models that are equally good on average.

    Both regress on one of two features of equal influence, so that neither is better, but a sample favours one of them.
    """
    x = rng.normal(size=(rows, 2))
    y = x.sum(axis=1) + rng.normal(size=rows)
    fold = np.arange(rows) % folds
    d = np.empty(folds)
    for k in range(folds):
        train, test = fold != k, fold == k
        errors = []
        for column in x.T:
            slope, intercept = np.polyfit(column[train], y[train], 1)
            errors.append(np.mean((y[test] - intercept - slope * column[test]) ** 2))
        d[k] = errors[0] - errors[1]
    return d


def test_false_positives_of_simulated_cross_validation() -> None:
    """Both models of a real cross-validation have the same expected error; at most 5 % are called different."""
    rng = np.random.default_rng(3)
    d = np.stack([cross_validated_difference(rng) for _ in range(600)])
    corrected, plain = (np.mean(corrected_t_test(d, ratio).p < 0.05) for ratio in (0.25, 0.0))
    assert corrected <= 0.05
    assert plain > corrected


# ---------------------------------------------------------------------- seeds


def test_the_variance_between_seeds_computed_by_hand() -> None:
    # Within folds: variances 2 (two seeds), 1 (three seeds), none (one seed); pooled (1 · 2 + 2 · 1) / 3 = 4/3.
    scores = FoldScores.of([[1.0, 3.0], [4.0, 5.0, 6.0], [7.0], []])
    assert scores.means[:3].tolist() == [2, 5, 7]
    assert math.isnan(scores.means[3])
    everywhere = np.array([True, True, True, False])
    assert scores.seed_variance(everywhere) == pytest.approx(4 / 3)
    assert math.isnan(scores.seed_variance(np.array([False, False, True, False])))


def test_the_standard_error_is_not_smaller_than_seeds_permit() -> None:
    # The differences of the means are equal in all folds, by chance: seeds vary by 2. w = 2/2 + 0, J = 2, ratio 1/4.
    a, b = FoldScores.of([[1.0, 3.0], [1.0, 3.0]]), FoldScores.of([[1.0], [1.0]])
    found = paired_test(a, b, 0.25)
    assert found.mean == 1
    assert found.error == pytest.approx(math.sqrt((1 / 2 + 1 / 4) * 1.0))
    assert paired_test(FoldScores.of([[2.0], [2.0]]), b, 0.25).error == 0


def test_seeds_of_folds_that_are_not_common_do_not_count() -> None:
    a = FoldScores.of([[1.0, 1.5], [2.0, 2.5], [0.0, 100.0]])
    b = FoldScores.of([[1.0], [3.0], []])
    fewer = [FoldScores.of(scores) for scores in ([[1.0, 1.5], [2.0, 2.5]], [[1.0], [3.0]])]
    found, expected = paired_test(a, b, 0.25), paired_test(*fewer, 0.25)
    assert (found.mean, found.error, found.folds) == pytest.approx((expected.mean, expected.error, 2))


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_two_entries_of_one_model_are_not_called_different(seeds: int) -> None:
    """Seeds are all that differs: at most 5 % of the pairs are resolved, however many seeds are averaged."""
    rng = np.random.default_rng(4)
    folds = rng.normal(30, 4, size=(3000, 5, 1))  # difficulty of the folds, common to both
    a, b = (
        FoldScores(
            y.mean(-1), y.var(-1, ddof=1) if seeds > 1 else np.full(y.shape[:2], np.nan), np.full((3000, 5), seeds)
        )
        for y in (folds + rng.normal(0, 2, size=(3000, 5, seeds)) for _ in range(2))
    )
    assert np.mean(paired_test(a, b, 0.25).p < 0.05) < 0.03


def test_two_runs_of_one_model_on_phonons_are_not_called_different() -> None:
    """Official folds of matbench_phonons (cm⁻¹): one configuration of sen with two seeds, as they were run in 2026.

    A bootstrap over the test rows called them different: −2.64 [−4.72, −0.69].
    """
    first = [36.492709, 29.902518, 39.043653, 30.353248, 30.056056]
    second = [33.695973, 27.698102, 27.687862, 29.650879, 33.914753]
    found = paired_test(*(FoldScores.of([[mae] for mae in run]) for run in (second, first)), 0.25)
    assert found.mean == pytest.approx(-2.640, abs=1e-3)
    assert found.p == pytest.approx(0.52, abs=0.005)


# ---------------------------------------------------------------------- the Bayesian test


def test_the_posterior_is_the_published_one() -> None:
    """Density of Corani and Benavoli: Student's t with mean(d), (1/J + ρ/(1 − ρ)) s² and J − 1 degrees of freedom."""
    d, correlation, rope = np.array([0.5, 1.2, -0.3, 0.9, 1.4]), 0.2, 0.1
    j, mean, variance = len(d), d.mean(), d.var(ddof=1)
    scale = math.sqrt((1 / j + correlation / (1 - correlation)) * variance)

    def density(x: float) -> float:
        constant = special.gamma(j / 2) / special.gamma((j - 1) / 2) / math.sqrt((j - 1) * math.pi) / scale
        return float(constant * (1 + ((x - mean) / scale) ** 2 / (j - 1)) ** (-j / 2))

    found = corrected_t_test(d, correlation / (1 - correlation))
    for value in (-rope, rope, 2.0):
        assert found.below(value) == pytest.approx(integrate.quad(density, -np.inf, value)[0], abs=1e-7)


def test_the_posterior_of_differences_without_variance_is_one_value() -> None:
    found = corrected_t_test([1.0, 1.0], 0.25)
    assert [float(found.below(value)) for value in (0.5, 1.5)] == [0, 1]


# ---------------------------------------------------------------------- Holm


def test_holm_computed_by_hand() -> None:
    # Sorted: .001 · 4, .01 · 3, .02 · 2 = .04, .03 · 1, which may not be smaller than .04.
    assert holm([0.02, 0.001, 0.03, 0.01]).tolist() == pytest.approx([0.04, 0.004, 0.04, 0.03])
    assert holm([0.5, 0.9]).tolist() == [1, 1]
    assert holm([0.5, 0.5]).tolist() == [1, 1]
    assert holm([]).tolist() == []


def test_holm_keeps_the_probability_of_any_false_positive() -> None:
    p = np.random.default_rng(5).uniform(size=(4000, 10))
    assert np.mean([holm(row).min() < 0.05 for row in p]) == pytest.approx(0.05, abs=0.012)
