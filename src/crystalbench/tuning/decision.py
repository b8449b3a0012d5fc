"""The decision between the default and the best other trial of a study, by their paired evaluations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from crystalbench.results.record import Decision
from crystalbench.results.study import Trial


def decide(trials: Sequence[Trial], higher_is_better: bool) -> Decision | None:
    """Choose between the default (trial 0) and the best other completed trial.

    The default is kept unless the gain exceeds its standard error. All trials have the same evaluations (inner split
    and seed), so the standard error is that of the mean of paired differences.

    Args:
        trials: the trials of a study.
        higher_is_better: whether a larger score is better.

    Returns:
        The decision; None if no trial was completed, or if scores of single evaluations are not known.
    """
    sign = 1 if higher_is_better else -1
    completed = {t.number: t for t in trials if t.state == "complete" and t.value is not None and t.scores}
    default = completed.pop(0, None)
    candidate = max(completed.values(), key=lambda t: (sign * (t.value or 0.0), -t.number), default=None)
    if candidate is None:
        if default is None:
            return None
        return Decision(kept=True, reason=f"default kept: {_others(trials)}", default_scores=default.scores)
    if default is None:
        reason = f"trial {candidate.number} replaces the default, which was not completed"
        return Decision(kept=False, reason=reason, candidate=candidate.number, candidate_scores=candidate.scores)
    differences = sign * (np.array(candidate.scores) - np.array(default.scores))
    gain = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    measured = f"gain {gain:.3g} ± {error:.2g} over {len(differences)} evaluations"
    kept = not gain > error
    return Decision(
        kept=kept,
        reason=f"default kept: {measured} (trial {candidate.number})"
        if kept
        else f"trial {candidate.number}: {measured}",
        candidate=candidate.number,
        default_scores=default.scores,
        candidate_scores=candidate.scores,
        gain=gain,
        standard_error=error,
    )


def _others(trials: Sequence[Trial]) -> str:
    """Why no trial but the default was completed."""
    states = Counter(t.state for t in trials if t.number)
    if not states:
        return "there was no other trial"
    return f"no other trial was completed ({', '.join(f'{count} {state}' for state, count in states.items())})"
