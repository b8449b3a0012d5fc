"""Figures of predictions and leaderboards, made with plotly.

Each function takes a frame or an object that has it, such as the results of `crystalbench.results.load_results`, and
returns a figure: ``parity(results, task="matbench_phonons").show()``.

The colours are those of Okabe and Ito, which people with any common colour vision deficiency can tell apart
(jfly.uni-koeln.de/color); beyond eight models, markers change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation.board import OURS
from crystalbench.evaluation.columns import require_columns, standard_runs
from crystalbench.evaluation.entries import ENTRY, entries, title_of
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.learning_curves import curve_fits, learning_curves
from crystalbench.reports.formatting import axis_title, metric_title, score_text
from crystalbench.targets import METRICS, OFFICIAL

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["leaderboard_bar", "learning_curve", "parity", "residuals"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("circle", "diamond", "square", "cross", "triangle-up")

MANY = 5_000
"""Points above which a figure draws with WebGL."""


class HasPredictions(Protocol):
    """An object with predictions, one row per sample."""

    @property
    def predictions(self) -> pd.DataFrame: ...


class HasScores(Protocol):
    """An object with scores, one row per run and metric."""

    @property
    def scores(self) -> pd.DataFrame: ...


class ResultsLike(HasScores, Protocol):
    """An object with scores, and with the predictions of runs on other folds than the official ones."""

    @property
    def predictions_on_other_folds(self) -> pd.DataFrame | None: ...


PredictionsLike: TypeAlias = pd.DataFrame | HasPredictions
ScoresLike: TypeAlias = pd.DataFrame | HasScores


def parity(predictions: PredictionsLike, *, task: str | None = None, models: Sequence[str] | None = None) -> Figure:
    """Predictions against true values, one trace per model.

    Args:
        predictions: a frame with the columns ``id``, ``target``, ``prediction`` and optionally ``task``, ``unit``,
            ``fold``, ``seed`` and the columns of an entry; or an object whose ``predictions`` are such a frame. The
            predictions of several seeds are averaged.
        task: name of the task; needed if the frame has several.
        models: titles of the entries to show, in this order; all by default.

    Raises:
        ConfigError: there are several tasks and none was named, or the target is not a number.
        UnknownNameError: there is no such task or model.
        DataError: the frame lacks a column.
    """
    figure, unit, everything = _points(predictions, task, models, residual=False)
    low, high = everything[["target", "prediction"]].min().min(), everything[["target", "prediction"]].max().max()
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": "grey", "dash": "dash"},
        name="ideal",
        hoverinfo="skip",
    )
    figure.update_layout(xaxis_title=axis_title("target", unit), yaxis_title=axis_title("prediction", unit))
    figure.update_xaxes(constrain="domain")  # a square, not a wider range, makes both axes equal
    figure.update_yaxes(scaleanchor="x", scaleratio=1, constrain="domain")
    return figure


def residuals(predictions: PredictionsLike, *, task: str | None = None, models: Sequence[str] | None = None) -> Figure:
    """Prediction minus true value against the true value, one trace per model; arguments and errors as in `parity`."""
    figure, unit, _ = _points(predictions, task, models, residual=True)
    figure.add_hline(y=0, line={"color": "grey", "dash": "dash"})
    figure.update_layout(xaxis_title=axis_title("target", unit), yaxis_title=axis_title("prediction − target", unit))
    return figure


def leaderboard_bar(scores: ScoresLike, task: str, metric: str | None = None) -> Figure:
    """Mean scores of our models on a task as bars, with the population standard deviation over the official folds.

    Args:
        scores: one row per run and metric, or an object whose ``scores`` are such a frame.
        task: name of the task. If there are runs on different rows, the board with most rows is shown.
        metric: name of a metric; the main metric of the task by default.

    Raises:
        UnknownNameError: there is no such task or metric.
    """
    import plotly.graph_objects as go

    frame = scores if isinstance(scores, pd.DataFrame) else scores.scores
    boards = leaderboards(standard_runs(frame[frame["task"] == task]))
    if not boards:
        raise UnknownNameError("task", task, frame["task"].unique())
    board = boards[0]
    known = {m.name: m for m in board.metrics}
    if metric is not None and metric not in known:
        raise UnknownNameError("metric", metric, known)
    chosen = known[metric or board.metric]
    shown = [entry for entry in board.entries if entry.source == OURS and chosen.name in entry.scores]
    figure = go.Figure(
        go.Bar(
            x=[entry.scores[chosen.name].mean for entry in shown],
            y=[title_of(entry.model, entry.protocol, entry.view) for entry in shown],
            error_x={"array": [entry.scores[chosen.name].std for entry in shown]},
            text=[score_text(entry, chosen) for entry in shown],
            textposition="none",  # beside the bars, the text would overlap the error bars
            hovertemplate="%{y}: %{text}<extra></extra>",
            orientation="h",
            marker_color=COLOURS[0],
        )
    )
    figure.update_layout(title=task, xaxis_title=metric_title(chosen, board.unit), template="plotly_white")
    bars = figure.data[0]
    labels = [f"{title}<br>{text}" for title, text in zip(bars.y, bars.text, strict=True)]
    figure.update_yaxes(autorange="reversed", tickmode="array", tickvals=list(bars.y), ticktext=labels, automargin=True)
    return figure


def learning_curve(results: ResultsLike, task: str, fold_scheme: str = OFFICIAL) -> Figure:
    """The error of our models on a task against the number of rows to learn from, with power laws, on log axes.

    Args:
        results: e.g. ``load_results("results")``.
        task: name of the task.
        fold_scheme: the folds, as in the column ``fold_scheme`` of the scores.

    Raises:
        UnknownNameError: there are no learning curves of this task and these folds.
    """
    curves = learning_curves(results.scores, results.predictions_on_other_folds)
    known = curves.loc[curves["fold_scheme"] == fold_scheme, "task"].unique()
    if task not in known:
        raise UnknownNameError(f"learning curve on the folds {fold_scheme}", task, known)
    return curve_figure(curves[(curves["task"] == task) & (curves["fold_scheme"] == fold_scheme)])


def curve_figure(chosen: pd.DataFrame) -> Figure:
    """The learning curves of one task and fold scheme, rows of the frame that `learning_curves` makes, as a figure."""
    import plotly.graph_objects as go

    task, fold_scheme = str(chosen["task"].iloc[0]), str(chosen["fold_scheme"].iloc[0])
    metric = METRICS[chosen["metric"].iloc[0]]
    figure = go.Figure()
    for number, (points, law) in enumerate(curve_fits(chosen)):
        error = 1 - points["score"] if metric.higher_is_better else points["score"]
        colour, name = COLOURS[number % len(COLOURS)], str(points["model"].iloc[0])
        half = points["high"] - points["score"]  # the interval is symmetric
        figure.add_scatter(
            x=points["rows"],
            y=error,
            error_y=None if half.isna().any() else {"array": half},
            mode="markers" if law is not None else "markers+lines",
            name=name if law is None else f"{name}: {law}",
            marker=_marker(number),
            legendgroup=name,
        )
        if law is not None:
            rows = np.geomspace(points["rows"].min(), points["rows"].max(), 50)
            figure.add_scatter(
                x=rows,
                y=law(rows),
                mode="lines",
                line_color=colour,
                hoverinfo="skip",
                showlegend=False,
                legendgroup=name,
            )
    label = metric_title(metric, str(chosen["unit"].iloc[0]))
    pooled = "" if fold_scheme == OFFICIAL else "pooled "
    figure.update_layout(
        title=task if fold_scheme == OFFICIAL else f"{task}, folds: {fold_scheme}",
        xaxis={"title": "rows to learn from", "type": "log"},
        yaxis={"title": f"1 − {pooled}{label}" if metric.higher_is_better else f"{pooled}{label}", "type": "log"},
        template="plotly_white",
    )
    return figure


def _points(
    predictions: PredictionsLike, task: str | None, models: Sequence[str] | None, *, residual: bool
) -> tuple[Figure, str, pd.DataFrame]:
    """A figure with the traces of all models, the unit, and the points."""
    import plotly.graph_objects as go

    frame = predictions if isinstance(predictions, pd.DataFrame) else predictions.predictions
    require_columns(frame, ("id", "target", "prediction"), "predictions")
    frame, name, unit = _of_task(frame, task)
    titled = _by_title(frame)
    for model in models or ():
        if model not in titled:
            raise UnknownNameError("model", model, titled)
    points = {title: _mean_over_seeds(titled[title]) for title in models or sorted(titled)}
    draw = go.Scattergl if sum(map(len, points.values())) > MANY else go.Scatter
    figure = go.Figure()
    for number, (title, rows) in enumerate(points.items()):
        y = rows["prediction"] - rows["target"] if residual else rows["prediction"]
        figure.add_trace(
            draw(
                x=rows["target"],
                y=y,
                mode="markers",
                name=title,
                text=rows["id"],
                customdata=rows.get("fold"),
                hovertemplate=f"%{{text}}<br>target %{{x:.4g}}<br>{'residual' if residual else 'prediction'} %{{y:.4g}}"
                + ("<br>fold %{customdata}" if "fold" in rows else ""),
                marker=_marker(number),
            )
        )
    figure.update_layout(title=name, template="plotly_white", legend_title="model")
    return figure, unit, pd.concat(points.values())


def _of_task(frame: pd.DataFrame, task: str | None) -> tuple[pd.DataFrame, str, str]:
    """The rows of one task, its name and unit."""
    if "task" in frame:
        known = frame["task"].unique()
        if task is None and len(known) > 1:
            raise ConfigError(
                f"the predictions are of {len(known)} tasks; name one of them: {', '.join(sorted(known))}"
            )
        if task is not None and task not in known:
            raise UnknownNameError("task", task, known)
        frame = frame[frame["task"] == (task or known[0])] if len(known) else frame
    if frame.empty:
        raise ConfigError("there are no predictions to draw")
    name = task or (str(frame["task"].iloc[0]) if "task" in frame else "")
    if ("kind" in frame and (frame["kind"] != "regression").any()) or frame["prediction"].isna().all():
        raise ConfigError(
            f"{name or 'the predictions'}: only the predictions of a regression can be drawn against targets"
        )
    return frame, name, str(frame["unit"].iloc[0]) if "unit" in frame else ""


def _by_title(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each model by its title."""
    if set(ENTRY) <= set(frame.columns):
        known = entries(frame)
        titles = {tuple(row[name] for name in ENTRY): str(row["unique"]) for row in known.to_dict("records")}
        return {titles[key]: rows for key, rows in frame.groupby(ENTRY, sort=False)}
    if "model" in frame:
        return {str(name): rows for name, rows in frame.groupby("model", sort=False)}
    return {"prediction": frame}


def _mean_over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    kept: dict[str, Any] = {"target": "first", "prediction": "mean"}
    if "fold" in rows:
        kept["fold"] = "first"
    return rows.groupby("id", sort=False).agg(kept).reset_index()


def _marker(number: int) -> dict[str, Any]:
    colour, marker = number % len(COLOURS), number // len(COLOURS) % len(MARKERS)
    return {"color": COLOURS[colour], "symbol": MARKERS[marker], "size": 6, "opacity": 0.7}
