"""The public functions refuse what they cannot use, and say what to give instead."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import record

import crystalbench as cb
from crystalbench.errors import ConfigError
from crystalbench.results import Results


@pytest.mark.parametrize("results", [None, "results", [record()]])
def test_something_else_than_results_is_refused(results: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"give results of load_results\(...\) or run\(...\), or their frame predictions"
    ):
        cb.compare(results, "a", "b")
    with pytest.raises(ConfigError, match=r"give results of load_results\(...\) or run\(...\), or their frame scores"):
        cb.leaderboard(results)


def test_results_and_their_frames_give_the_same_leaderboard() -> None:
    results = Results([record(task="mine")])
    assert cb.leaderboard(results).equals(cb.leaderboard(results.scores))
