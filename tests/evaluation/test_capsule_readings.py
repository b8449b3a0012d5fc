"""Planted couplings of atoms are read as what they were made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crystalbench.evaluation.capsule_readings import (
    ERROR,
    READING_COLUMNS,
    TRAINED,
    UNTRAINED,
    WITHOUT,
    capsule_readings,
)

FACTS = {"task": "t", "view": "full", "configuration": "c", "key": "k", "rows": 200}


def atoms(made_of: str, fold: int, seed: int = 0) -> pd.DataFrame:
    """40 crystals of five atoms, whose couplings are made of one thing; those of the untrained network are noise."""
    rng = np.random.default_rng(10 * fold)
    crystals, each = 40, 5
    n = crystals * each
    element = rng.choice([8, 14, 26], n)
    coordination = element / 4 + rng.normal(size=n)
    order = rng.normal(size=n)
    noise = np.random.default_rng(100 * fold + seed).normal(size=n)
    source = {"element": (element - 14) / 5, "coordination": coordination, "noise": noise}[made_of]
    share = 1 / (1 + np.exp(-source))
    other = 1 / (1 + np.exp(-rng.normal(size=n)))
    columns = {
        "id": [f"{fold}-{i // each}" for i in range(n)],
        "atom": np.tile(np.arange(each), crystals),
        "element": element,
        "coordination": coordination,
        "log_site_order": order,
    }
    for prefix, values in ((TRAINED, share), (UNTRAINED, other)):
        columns |= {f"{prefix}0": values, f"{prefix}1": 1 - values}
    return pd.DataFrame(columns).assign(model=made_of, fold=fold, seed=seed, **FACTS)


def readings(made_of: str, seeds: int = 1) -> pd.DataFrame:
    runs = [atoms(made_of, fold, seed) for fold in range(5) for seed in range(seeds)]
    found = capsule_readings(pd.concat(runs, ignore_index=True))
    assert tuple(found) == READING_COLUMNS
    return found.set_index("quantity")


def test_couplings_made_of_the_coordination_tell_it_and_nothing_else() -> None:
    found = readings("coordination")
    for quantity in ("coordination", "coordination_over_untrained", "coordination_over_permuted"):
        assert found.loc[quantity, "low"] > 0.05
    assert found.loc["site_symmetry", "high"] < 0.05
    assert found.loc["coordination_permuted", "value"] < 0.05
    assert (found["folds"] == 5).all()
    assert (found["atoms"] == 1000).all()


def test_couplings_made_of_the_element_tell_nothing_beyond_it() -> None:
    found = readings("element")
    assert found.loc["element_share", "value"] == pytest.approx(1)
    assert abs(found.loc["coordination", "value"]) < 0.02
    assert found.loc["coordination_over_permuted", "value"] == pytest.approx(0, abs=1e-12)


def test_the_number_of_seeds_is_that_of_the_fold_with_the_fewest() -> None:
    runs = [atoms("coordination", fold, seed) for fold in range(2) for seed in range(2 - fold)]
    assert set(capsule_readings(pd.concat(runs, ignore_index=True))["seeds"]) == {1}


def test_seeds_agree_where_couplings_do() -> None:
    assert readings("coordination", seeds=3).loc["seed_agreement", "value"] == pytest.approx(1)
    assert readings("noise", seeds=3).loc["seed_agreement", "value"] == pytest.approx(0, abs=0.05)
    assert "seed_agreement" not in readings("coordination").index


def test_a_deletion_is_measured_by_the_growth_of_the_error_per_crystal() -> None:
    run = atoms("noise", 0)
    error = np.repeat(np.arange(1.0, 41.0), 5)
    run = run.assign(**{ERROR: error, f"{WITHOUT}0": 1.5 * error, f"{WITHOUT}1": error, f"{WITHOUT}2": np.nan})
    run = run.drop(index=range(1, 5))  # the crystals count alike, whatever their size
    found = capsule_readings(run).set_index("quantity")["value"]
    assert found["deletion"] == pytest.approx(0.25)
    assert found["largest_deletion"] == pytest.approx(0.5)
    assert "deletion" not in readings("noise").index


def test_without_answers_there_are_no_readings() -> None:
    found = capsule_readings(pd.DataFrame())
    assert tuple(found) == READING_COLUMNS
    assert found.empty
