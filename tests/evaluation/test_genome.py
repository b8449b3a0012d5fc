"""The rule of symmetry against intensities, on planted predictions."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.errors import DataError
from crystalbench.evaluation import genome as module
from crystalbench.evaluation.genome import COLUMNS, DECISION_COLUMNS, genome, input_of, labelled, model_and_input

N = 1500
DRAWS = 200


def entry(
    label: str, strength: float, *, seed: int = 0, task: str = "t", view: str = "full", **more: Any
) -> pd.DataFrame:
    """Predictions of a binary target that are the better, the larger the strength; the rows are always the same."""
    rng = np.random.default_rng(0)
    y, shared = rng.integers(0, 2, N).astype(float), rng.normal(size=N)
    own = np.random.default_rng([seed, *map(ord, label + view)]).normal(size=N)
    logit = strength * (2 * y - 1) + 0.9 * shared + 0.45 * own
    columns = {
        "task": task, "data": "d", "model": label, "view": view, "configuration": label + view, "seed": seed,
        "fold": np.arange(N) % 5, "kind": "binary", "id": [f"{task}-{k}" for k in range(N)], "target": y,
        "prediction": 1 / (1 + np.exp(-logit)),
    }  # fmt: skip
    return pd.DataFrame({**columns, **more})


def three(full: float, absences: float, none: float, seeds: int = 1, **options: Any) -> pd.DataFrame:
    strengths: Mapping[str, float] = {"net-full": full, "net-absences": absences, "net-none": none}
    return pd.concat([entry(name, s, seed=k, **options) for name, s in strengths.items() for k in range(seeds)])


def decided(predictions: pd.DataFrame, **options: Any) -> pd.Series:
    (_, row), *others = genome(predictions, draws=DRAWS, **options).decisions.iterrows()
    assert not others
    return row


# ---------------------------------------------------------------------- the rule


def test_symmetry_is_found_where_absences_carry_the_signal() -> None:
    row = decided(three(1.0, 1.0, 0.0, seeds=2))
    assert row["verdict"] == "symmetry"
    assert row["low"] > 0.2
    assert abs(row["intensities"]) < 0.03
    assert row["difference"] == pytest.approx(row["symmetry"] - row["intensities"])
    assert row["symmetry_low"] < row["symmetry"] < row["symmetry_high"]
    assert (row["seeds"], row["rows"], row["within_margin"]) == (2, N, False)
    assert row["p_holm"] == row["p"] < 0.02


def test_intensities_are_found_where_they_carry_the_signal() -> None:
    row = decided(three(1.0, 0.0, 0.0))
    assert row["verdict"] == "intensities"
    assert row["high"] < -0.2


def test_equal_gains_are_undecided_or_equivalent_within_the_margin() -> None:
    same = three(0.5, 0.5, 0.5)
    same["prediction"] = same.groupby("id")["prediction"].transform("first")  # the inputs make no difference at all
    assert decided(same)["verdict"] == "equivalent"
    row = decided(three(0.5, 0.5, 0.5))
    assert (row["verdict"], row["within_margin"]) == ("undecided", False)
    wide = decided(three(0.5, 0.5, 0.5), margin=0.5)
    assert (wide["verdict"], wide["within_margin"]) == ("equivalent", True)
    resolved = decided(three(1.0, 1.0, 0.0), margin=1.0)
    assert (resolved["verdict"], resolved["within_margin"]) == ("symmetry", True)


def test_labels_shuffled_decide_nothing() -> None:
    predictions = three(1.0, 0.6, 0.0)
    shuffled = np.random.default_rng(5).permutation(N)
    predictions["target"] = np.concatenate(
        [part.to_numpy()[shuffled] for _, part in predictions.groupby("model", sort=False)["target"]]
    )
    found = genome(predictions, draws=DRAWS)
    assert ((found.areas["low"] < 0.5) & (found.areas["high"] > 0.5)).all()
    assert found.decisions["verdict"].tolist() == ["undecided"]


def test_each_task_model_and_view_is_decided_with_holms_correction() -> None:
    parts = [three(1.0, 1.0, 0.0), three(1.0, 0.0, 0.0, task="u"), three(0.8, 0.6, 0.0, view="unit_density")]
    found = genome(pd.concat(parts), draws=DRAWS).decisions
    assert list(found.columns) == list(DECISION_COLUMNS)
    keys = found[["task", "model", "view"]].to_numpy().tolist()
    assert keys == [["t", "net", "full"], ["t", "net", "unit_density"], ["u", "net", "full"]]
    assert found["verdict"].tolist()[::2] == ["symmetry", "intensities"]
    assert (found["p_holm"] >= found["p"]).all()
    assert (found["p_holm"] > found["p"]).any()


def test_a_model_without_the_three_inputs_is_listed_and_not_decided() -> None:
    predictions = pd.concat([entry("net-full", 1.0), entry("net-none", 0.2), entry("forest", 0.5)])
    found = genome(predictions, draws=DRAWS)
    assert len(found.decisions) == 0
    assert list(found.decisions.columns) == list(DECISION_COLUMNS)
    assert found.areas[["model", "input"]].to_numpy().tolist() == [["forest", "full"], ["net", "full"], ["net", "none"]]


def test_differences_are_of_common_rows() -> None:
    predictions = three(1.0, 1.0, 0.0)
    first = predictions[(predictions["model"] != "net-none") | (predictions["fold"] < 2)]
    assert decided(first)["rows"] == 2 * N / 5
    disjoint = predictions[(predictions["model"] == "net-none") == (predictions["fold"] == 0)]
    assert len(genome(disjoint, draws=DRAWS).decisions) == 0


# ---------------------------------------------------------------------- areas


def test_areas_have_the_columns_of_the_file() -> None:
    predictions = pd.concat([three(1.0, 0.5, 0.0, seeds=3), entry("net-full", 0.5, view="anonymous")])
    areas = genome(predictions, draws=DRAWS).areas
    assert list(areas.columns) == list(COLUMNS)
    assert COLUMNS[:7] == ("task", "model", "input", "auc", "low", "high", "seeds")
    assert areas["input"].tolist() == ["absences", "full under anonymous", "full", "none"]
    assert areas["seeds"].tolist() == [3, 1, 3, 3]
    assert (areas["low"] < areas["auc"]).all() and (areas["auc"] < areas["high"]).all()
    assert set(areas["rows"]) == {N}
    assert set(areas["folds"]) == {5}
    again = genome(predictions, draws=DRAWS).areas
    pd.testing.assert_frame_equal(areas, again)


def test_formulas_are_drawn_together() -> None:
    predictions = entry("net-full", 0.5)
    formulas = {"t": {f"t-{k}": f"F{k % 30}" for k in range(N)}}
    alone, together = (genome(predictions, f, draws=DRAWS).areas.iloc[0] for f in (None, formulas))
    assert alone["auc"] == together["auc"]
    assert alone["low"] != together["low"]
    with pytest.raises(DataError, match="has no formula"):
        genome(predictions, {"t": {}}, draws=DRAWS)


def test_labels_name_model_and_input() -> None:
    assert model_and_input("dummy") == ("dummy", "full")
    assert model_and_input("deepknet-permuted_in_shells") == ("deepknet", "permuted_in_shells")
    assert model_and_input("deepknet-none", "anonymous+unit_density") == (
        "deepknet",
        "none under anonymous+unit_density",
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"intensities": "full", "scattering": "xray", "max_index": 3}, "full"),
        ({"intensities": "full", "scattering": "equal"}, "equal"),
        ({"intensities": "normalised", "scattering": "equal"}, "equal_normalised"),
        ({"intensities": "permuted", "scattering": "xray"}, "permuted"),
        ({"intensities": "none", "scattering": "xray", "max_index": -1}, "lattice"),
        ({"intensities": "none", "scattering": "xray"}, "none"),
        ({"bank": "rich"}, None),
    ],
)
def test_inputs_follow_from_settings(settings: dict[str, Any], expected: str | None) -> None:
    assert input_of(settings) == expected
    assert labelled("net", settings) == ("net" if expected is None else f"net-{expected}")
    assert labelled("net-mine", settings) == "net-mine"


def test_runs_on_other_folds_or_parts_of_the_training_part_do_not_count() -> None:
    usual = entry("net-full", 1.0, fold_scheme="official", train_fraction=1.0)
    others = [
        entry("net-full", 0.0, fold_scheme="formula:k=5,seed=0", train_fraction=1.0),
        entry("net-full", 0.0, fold_scheme="official", train_fraction=0.5),
    ]
    both = genome(pd.concat([usual, *others]), draws=DRAWS).areas
    pd.testing.assert_frame_equal(both, genome(usual, draws=DRAWS).areas)


def test_examples() -> None:
    result = doctest.testmod(module)
    assert (result.failed, result.attempted) == (0, 6)


def test_what_does_not_fit_together_is_refused() -> None:
    one = entry("net-full", 1.0)
    with pytest.raises(DataError, match="t: the predictions are of 2 data sets"):
        genome(pd.concat([one, entry("net-none", 1.0, data="e")]))
    with pytest.raises(DataError, match="t, net-full, view full: the predictions are of 2 configurations"):
        genome(pd.concat([one, entry("net-full", 1.0, seed=1, configuration="other")]))
    with pytest.raises(DataError, match="the predictions frame has no column view"):
        genome(one.drop(columns="view"))
