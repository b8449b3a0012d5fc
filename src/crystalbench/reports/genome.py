"""The results of the suite ``genome``: areas as CSV, and what they decide as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from crystalbench._files import write_text
from crystalbench.data.crystals import Crystals
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.genome import MARGIN, GenomeResults, genome, labelled
from crystalbench.reports.formatting import markdown_table
from crystalbench.results.loading import Results
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, get_task_spec, require_data

INTRODUCTION = (
    "Does the symmetry of a diffraction pattern matter more than its intensities? The table compares what absences add "
    "to the positions of the reflections (symmetry) with what intensities add to absences, as differences of the "
    "pooled area under the ROC curve with 95 % intervals over formulas and seeds. The claim is confirmed where the "
    f"interval of symmetry − intensities is above zero; differences within ±{MARGIN:g} are equivalent."
)

VERDICTS = {
    "symmetry": "symmetry matters more",
    "intensities": "intensities matter more",
    "equivalent": "equivalent",
    "undecided": "undecided",
}


def genome_of(results: Results, sources: DataSources, tasks: Sequence[str] = ()) -> tuple[GenomeResults, list[str]]:
    """Areas and decisions of all classification tasks of some results, with rows of one formula drawn together.

    The input of a diffraction network that was run without the suite's label follows from its hyperparameters.

    Args:
        results: the results, e.g. of the suite ``genome``.
        sources: where the data of the tasks is, from which the formulas come.
        tasks: names of the tasks; by default, all classification tasks of the results.

    Returns:
        The results of `crystalbench.evaluation.genome.genome`, and what was left out and why.

    Raises:
        DataError: the data of a task is missing, or predictions do not fit together.
        UnknownNameError: a task does not exist.
    """
    problems: list[str] = []
    formulas: dict[str, dict[str, str]] = {}
    parts: list[pd.DataFrame] = []
    classified = results.scores.loc[results.scores["kind"] != Kind.REGRESSION, "task"]
    for name in tasks or sorted(classified.unique()):
        mine = results.select(task=name)
        if not len(mine):
            problems.append(f"{name}: there are no records")
            continue
        runs = mine.scores.drop_duplicates("key")["data"].value_counts()
        if len(runs) > 1:
            left = int(runs.iloc[1:].sum())
            problems.append(f"{name}: {left} of {int(runs.sum())} records are of other rows or targets and left out")
        predictions = _labelled(mine.select(data=str(runs.index[0])))
        formulas[name] = _formulas(name, sources, set(predictions["id"]))
        parts.append(predictions)
    if not parts:
        return genome(Results([]).predictions), problems
    return genome(pd.concat(parts, ignore_index=True), formulas), problems


def _labelled(results: Results) -> pd.DataFrame:
    """The predictions, with labels that name the input."""
    settings = results.scores.drop_duplicates("configuration").set_index("configuration")["settings"].map(json.loads)
    predictions = results.predictions
    pairs = predictions[["model", "configuration"]].drop_duplicates()
    names = {(m, c): labelled(m, settings[c]) for m, c in pairs.itertuples(index=False)}
    keys = zip(predictions["model"], predictions["configuration"], strict=True)
    return predictions.assign(model=[names[key] for key in keys])


def _formulas(name: str, sources: DataSources, ids: set[str]) -> dict[str, str]:
    """Formulas by atomic fractions of some rows of a task, by id."""
    spec = get_task_spec(name)
    require_data([spec], sources)
    inputs = spec.load(replace(sources, limit=None)).inputs
    chosen = inputs[[row for row, own in enumerate(inputs.ids.tolist()) if own in ids]]
    compositions = chosen.compositions() if isinstance(chosen, Crystals) else chosen
    return dict(zip(chosen.ids.tolist(), compositions.normalised_formulas(), strict=True))


def genome_to_csv(areas: pd.DataFrame) -> str:
    """One row per task, model and input; six significant digits of areas."""
    return areas.to_csv(index=False, lineterminator="\n", float_format="%.6g")


def genome_markdown(found: GenomeResults) -> str:
    """A page with the decisions and all areas."""
    lines = ["# Symmetry against intensities", "", INTRODUCTION, ""]
    header = ["task", "model", "view", "symmetry", "intensities", "symmetry − intensities", "p (Holm)", "verdict"]
    rows = [
        [
            row["task"],
            f"`{row['model']}`",
            row["view"],
            *(
                _with_interval(row[name], row[f"{prefix}low"], row[f"{prefix}high"], signed=True)
                for name, prefix in (
                    ("symmetry", "symmetry_"),
                    ("intensities", "intensities_"),
                    ("difference", ""),
                )
            ),
            f"{row['p_holm']:.2g}",
            VERDICTS[row["verdict"]]
            + " (within the margin)" * (row["within_margin"] and row["verdict"] in ("symmetry", "intensities")),
        ]
        for row in found.decisions.to_dict("records")
    ]
    lines += markdown_table(header, rows) if rows else ["No model has the inputs full, absences and none yet."]
    for task, areas in found.areas.groupby("task", sort=True):
        models = list(dict.fromkeys(areas["model"]))
        cells = {
            (row["input"], row["model"]): _with_interval(row["auc"], row["low"], row["high"])
            for row in areas.to_dict("records")
        }
        table = [[kind, *(cells.get((kind, m), "") for m in models)] for kind in dict.fromkeys(areas["input"])]
        lines += ["", f"## {task}", "", *markdown_table(["input", *(f"`{m}`" for m in models)], table)]
    return "\n".join(lines) + "\n"


def _with_interval(value: float, low: float, high: float, *, signed: bool = False) -> str:
    spec = "+.3f" if signed else ".3f"
    return f"{value:{spec}} [{low:{spec}}, {high:{spec}}]"


def write_genome(found: GenomeResults, folder: Path) -> list[Path]:
    """Write ``genome.csv`` with the areas and ``genome.md`` with the decisions.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    files = {"genome.csv": genome_to_csv(found.areas), "genome.md": genome_markdown(found)}
    try:
        for name, text in files.items():
            write_text(folder / name, text)
    except OSError as error:
        raise CrystalBenchError(f"{folder}: the results cannot be written ({error.strerror or error})") from error
    return [folder / name for name in files]
