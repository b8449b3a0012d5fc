"""Studies as pages with Optuna's own plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from crystalbench._files import write_text
from crystalbench.errors import CrystalBenchError
from crystalbench.reports.formatting import metric_title
from crystalbench.reports.studies.optuna import importances, to_optuna
from crystalbench.reports.studies.tables import heading
from crystalbench.reports.winners import write_suite
from crystalbench.results.study import Study
from crystalbench.targets import METRICS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGES = "pages"
"""Folder of the pages, below the studies."""


def figures(study: Study) -> list[Figure]:
    """Optuna's plots: history and slices; with enough data, importances, coordinates and the course of the trials."""
    made = to_optuna(study)
    plots = optuna.visualization
    name = metric_title(METRICS[study.metric], study.unit)
    found = [plots.plot_optimization_history(made, target_name=name), plots.plot_slice(made, target_name=name)]
    if shares := importances(study):
        found.insert(1, plots.plot_param_importances(made, target_name=name))
        found.append(plots.plot_parallel_coordinate(made, params=list(shares)[:6], target_name=name))
    if any(trial.intermediate for trial in study.trials):
        curves = plots.plot_intermediate_values(made)
        tuning = study.spec.tuning
        if tuning is not None and tuning.version > 1:
            curves.update_layout(title="Mean score so far", xaxis_title="evaluations", yaxis_title=name)
        else:
            curves.update_layout(
                title="Learning curves of the trials",
                xaxis_title="tenths of the training",
                yaxis_title="best validation score",
            )
        found.append(curves)
    return found


def write_page(study: Study, folder: Path) -> Path:
    """Write a page with a study's plots. All pages of a folder share one ``plotly.min.js``.

    Raises:
        OSError: the folder cannot be written.
    """
    from html import escape

    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "plotly.min.js"
    if not script.is_file():
        from plotly.offline import get_plotlyjs

        write_text(script, get_plotlyjs())
    drawn = [f"<div>{figure.to_html(full_html=False, include_plotlyjs=False)}</div>" for figure in figures(study)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<title>{escape(study.name)}</title>\n<script src="{script.name}"></script>\n'
        "<style>body { font-family: sans-serif; margin: 1.5em; } div { overflow-x: auto; } "
        "td, th { padding: 0 1em; text-align: right; }</style>\n"
        f"<h1>{escape(study.spec.task)}: {escape(study.label)}</h1>\n<p>{escape(heading(study))}</p>\n"
        + _evaluations(study)
        + "\n".join(drawn)
        + "\n</html>\n"
    )
    path = folder / f"{study.name}.html"
    write_text(path, page)
    return path


def _evaluations(study: Study) -> str:
    """The paired evaluations of the default and of the best other trial, as an HTML table; empty if there are none."""
    decision, tuning = study.decision, study.spec.tuning
    if decision is None or decision.gain is None or decision.standard_error is None or tuning is None:
        return ""
    titles = ["inner fold", "seed", "default", f"trial {decision.candidate}", "gain"]
    sign = 1 if study.higher_is_better else -1
    pairs = zip(tuning.evaluations, decision.default_scores, decision.candidate_scores, strict=True)
    rows = [
        [str(split), str(seed), f"{before:.4g}", f"{after:.4g}", f"{sign * (after - before):+.3g}"]
        for (split, seed), before, after in pairs
    ]
    rows.append(["mean ± standard error", "", "", "", f"{decision.gain:+.3g} ± {decision.standard_error:.2g}"])
    lines = [f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>\n"


def write_all(study: Study, folder: Path) -> list[Path]:
    """Write a study's page and, if a trial was completed, the suite with the chosen configuration.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    try:
        return [write_page(study, folder), *([write_suite(study, folder)] if study.chosen else [])]
    except OSError as error:
        raise CrystalBenchError(f"{folder}: cannot be written ({error.strerror or error})") from error
