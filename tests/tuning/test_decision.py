from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crystalbench.results.study import State, Trial
from crystalbench.tuning.decision import decide


def trial(number: int, *scores: float, state: State = "complete") -> Trial:
    value = float(np.mean(scores)) if state == "complete" else None
    return Trial(number=number, state=state, parameters={}, value=value, scores=list(scores))


DEFAULT = trial(0, 5.0, 7.0, 6.0, 5.5)


def test_the_gain_and_its_error_are_those_of_paired_differences() -> None:
    other = trial(2, 4.0, 6.5, 5.0, 5.0)
    found = decide([DEFAULT, trial(1, 9.0, state="pruned"), other], higher_is_better=False)
    assert found is not None
    differences = np.array(DEFAULT.scores) - np.array(other.scores)
    assert (found.gain, found.standard_error) == pytest.approx((differences.mean(), stats.sem(differences)))
    assert (found.kept, found.candidate) == (False, 2)
    assert (found.default_scores, found.candidate_scores) == (DEFAULT.scores, other.scores)
    assert found.reason == "trial 2: gain 0.75 ± 0.14 over 4 evaluations"


def test_the_default_is_kept_if_the_gain_is_not_larger_than_its_error() -> None:
    found = decide([DEFAULT, trial(3, 6.0, 5.0, 6.5, 5.0)], higher_is_better=False)
    assert found is not None
    assert found.kept
    assert found.reason == "default kept: gain 0.25 ± 0.66 over 4 evaluations (trial 3)"
    worse = decide([DEFAULT, trial(3, 6.0, 8.0, 7.0, 6.5)], higher_is_better=False)
    assert worse is not None
    assert worse.kept
    assert worse.reason.startswith("default kept: gain -1 ± 0 ")
    equal = decide([DEFAULT, DEFAULT.model_copy(update={"number": 1})], higher_is_better=False)
    assert equal is not None
    assert equal.kept


def test_a_higher_score_may_be_better() -> None:
    found = decide([DEFAULT, trial(1, 6.0, 8.0, 7.0, 6.5), trial(2, 5.5, 7.5, 6.5, 6.0)], higher_is_better=True)
    assert found is not None
    assert (found.kept, found.candidate, found.gain) == (False, 1, 1.0)


def test_without_another_completed_trial_the_default_is_kept_with_the_reason() -> None:
    alone = decide([DEFAULT], higher_is_better=False)
    assert alone is not None
    assert (alone.kept, alone.reason) == (True, "default kept: there was no other trial")
    assert alone.gain is None
    others = [trial(1, 9.0, state="pruned"), trial(2, state="failed"), trial(3, 8.0, state="pruned")]
    pruned = decide([DEFAULT, *others], higher_is_better=False)
    assert pruned is not None
    assert pruned.reason == "default kept: no other trial was completed (2 pruned, 1 failed)"


def test_a_default_that_failed_is_replaced() -> None:
    found = decide([trial(0, state="failed"), trial(1, 5.0, 6.0), trial(2, 4.0, 6.0)], higher_is_better=False)
    assert found is not None
    assert (found.kept, found.candidate, found.gain) == (False, 2, None)
    assert found.reason == "trial 2 replaces the default, which was not completed"
    assert decide([trial(0, state="failed"), trial(1, 3.0, state="pruned")], higher_is_better=False) is None


def test_studies_without_scores_of_evaluations_have_no_decision() -> None:
    old = [Trial(number=n, state="complete", parameters={}, value=3.0 - n) for n in range(2)]
    assert decide(old, higher_is_better=False) is None
