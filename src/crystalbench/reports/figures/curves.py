"""Learning curves: the error against the number of rows to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from crystalbench.evaluation.learning_curves import curve_fits
from crystalbench.reports.figures.style import log_axis
from crystalbench.reports.formatting import metric_title
from crystalbench.targets import METRICS, OFFICIAL

_MARKERS = "osD^vP*X"


def curves(points: pd.DataFrame) -> Figure:
    """The learning curves of one task and one fold scheme with 95 % intervals and power laws, on logarithmic axes.

    Args:
        points: rows of `crystalbench.evaluation.learning_curves.learning_curves`.
    """
    first = points.iloc[0]
    metric, scheme = METRICS[first["metric"]], str(first["fold_scheme"])
    figure = Figure()
    axes = figure.add_subplot()
    for number, (curve, law) in enumerate(curve_fits(points)):
        error = 1 - curve["score"] if metric.higher_is_better else curve["score"]
        half = curve["high"] - curve["score"]  # the interval is symmetric
        name = str(curve["model"].iloc[0])
        style: dict[str, Any] = {
            "color": f"C{number % 7}",
            "marker": _MARKERS[number % len(_MARKERS)],
            "capsize": 1.5,
            "elinewidth": 0.7,
        }
        bars = None if half.isna().any() else half
        label = name if law is None else f"{name}: {law}"
        axes.errorbar(curve["rows"], error, bars, linestyle="none" if law else "-", label=label, **style)
        if law is not None:
            rows = np.geomspace(curve["rows"].min(), curve["rows"].max(), 50)
            axes.plot(rows, law(rows), color=f"C{number % 7}")
    log_axis(axes, "x")
    log_axis(axes, "y")
    label = metric_title(metric, str(first["unit"]))
    pooled = "" if scheme == OFFICIAL else "pooled "
    axes.set_xlabel("rows to learn from")
    axes.set_ylabel(f"1 − {pooled}{label}" if metric.higher_is_better else f"{pooled}{label}")
    axes.set_title(str(first["task"]) if scheme == OFFICIAL else f"{first['task']}, folds: {scheme}", fontsize=7.5)
    figure.legend(loc="outside lower center", ncols=1, fontsize=6)
    return figure
