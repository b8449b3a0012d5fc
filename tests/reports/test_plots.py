"""Figures: the points are the predictions, axes have units, and colours are distinct."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record, tuned_record

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.reports import plots
from crystalbench.results import Record, Results
from crystalbench.results.record import RecordedPredictions


def run(label: str, shift: float, **changes: Any) -> Record:
    made = RecordedPredictions(ids=["a", "b"], targets=[1.0, 2.0], values=[1.0 + shift, 2.0 + 2 * shift])
    return record(**{"label": label, "model": label, "predictions": made, **changes})


@pytest.fixture
def results() -> Results:
    return Results(
        [run("one", 0.5), run("two", 1.0), run("two", 3.0, seed=1), run("one", 9.0, task="other", unit="eV")]
    )


def test_parity_has_a_trace_per_model_and_the_diagonal(results: Results) -> None:
    figure = plots.parity(results, task="matbench_phonons")
    one, two, diagonal = figure.data
    assert (one.name, two.name, diagonal.name) == ("one", "two", "ideal")
    assert (list(one.x), list(one.y), list(one.text)) == ([1.0, 2.0], [1.5, 3.0], ["a", "b"])
    assert list(two.y) == [3.0, 6.0]  # mean over the seeds
    assert list(diagonal.x) == list(diagonal.y) == [1.0, 6.0]
    assert figure.layout.xaxis.title.text == "target (cm⁻¹)"
    assert figure.layout.yaxis.title.text == "prediction (cm⁻¹)"
    assert figure.layout.title.text == "matbench_phonons"
    assert "%{text}" in one.hovertemplate
    assert "fold" in one.hovertemplate
    assert "prediction" in one.hovertemplate
    assert figure.layout.xaxis.constrain == figure.layout.yaxis.constrain == "domain"  # a square


def test_residuals_are_predictions_minus_targets(results: Results) -> None:
    figure = plots.residuals(results, task="other")
    (one,) = figure.data
    assert list(one.y) == [9.0, 18.0]
    assert figure.layout.yaxis.title.text == "prediction − target (eV)"


def test_a_frame_of_the_user_needs_three_columns_only() -> None:
    frame = pd.DataFrame({"id": ["x", "y"], "target": [1.0, 2.0], "prediction": [2.0, 1.0]})
    for given in (frame, SimpleNamespace(predictions=frame)):
        trace, _ = plots.parity(given).data
        assert (trace.name, list(trace.text)) == ("prediction", ["x", "y"])
    assert [t.name for t in plots.residuals(frame.assign(model=["b", "a"])).data] == ["a", "b"]
    with pytest.raises(DataError, match="no column prediction"):
        plots.parity(frame.drop(columns="prediction"))
    with pytest.raises(ConfigError, match="no predictions to draw"):
        plots.parity(frame[:0])


def test_tasks_and_models_are_chosen_by_name(results: Results) -> None:
    names = [trace.name for trace in plots.parity(results, task="matbench_phonons", models=["two"]).data]
    assert names == ["two", "ideal"]
    with pytest.raises(ConfigError, match=r"2 tasks; name one of them: matbench_phonons, other"):
        plots.parity(results)
    with pytest.raises(UnknownNameError, match="Did you mean 'other'"):
        plots.parity(results, task="others")
    with pytest.raises(UnknownNameError, match="Known: one, two"):
        plots.parity(results, task="matbench_phonons", models=["three"])


def test_tuned_runs_views_and_configurations_are_separate_traces() -> None:
    runs = [run("m", 1.0), run("m", 2.0, view="unit_density"), run("m", 3.0, tuning={"trials": 3})]
    names = [trace.name for trace in plots.residuals(Results(runs)).data]
    assert names == ["m", "m (tuned)", "m (unit_density)"]
    two = [trace.name for trace in plots.residuals(Results([run("m", 1.0), run("m", 2.0, model_version=2)])).data]
    assert len(set(two)) == 2


def test_predictions_of_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="matbench_phonons: only the predictions of a regression"):
        plots.parity(Results([run("m", 0.0, kind="binary")]))


def test_many_points_are_drawn_with_webgl() -> None:
    n = plots.MANY + 1
    frame = pd.DataFrame({"id": np.arange(n).astype(str), "target": np.arange(n) * 1.0, "prediction": np.ones(n)})
    assert plots.parity(frame).data[0].type == "scattergl"
    assert plots.parity(frame[:-1]).data[0].type == "scatter"


def test_models_have_distinct_colours_and_symbols() -> None:
    looks = {(m["color"], m["symbol"]) for m in map(plots._marker, range(40))}
    assert len(looks) == 40
    assert len({plots._marker(i)["color"] for i in range(8)}) == 8


def test_a_leaderboard_as_bars() -> None:
    records = [
        record(mae, label=name, model=name, fold=fold) for name, mae in (("b", 2.0), ("a", 1.0)) for fold in (0, 1)
    ]
    results = Results([*records, tuned_record(1.5, label="b", model="b")])
    figure = plots.leaderboard_bar(results, "matbench_phonons")
    (bars,) = figure.data
    assert list(zip(bars.y, bars.x, strict=True)) == [("a", 1.0), ("b (tuned)", 1.5), ("b", 2.0)]
    assert figure.layout.xaxis.title.text == "MAE (cm⁻¹)"
    assert bars.text[0] == "1.000 ± 0.000"
    assert figure.layout.yaxis.ticktext[:2] == ("a<br>1.000 ± 0.000", "b (tuned)<br>1.500")
    assert bars.textposition == "none"  # no text on the error bars
    assert plots.leaderboard_bar(results.scores, "matbench_phonons", "r2").layout.xaxis.title.text == "R²"
    with pytest.raises(UnknownNameError, match="Did you mean 'matbench_phonons'"):
        plots.leaderboard_bar(results, "phonons")
    with pytest.raises(UnknownNameError, match="Unknown metric 'f1'"):
        plots.leaderboard_bar(results, "matbench_phonons", "f1")
