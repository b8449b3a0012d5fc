"""What diffraction networks read of a pattern: symmetry against intensities."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import ClassVar

import pandas as pd

from crystalbench.data.crystals import Crystals
from crystalbench.evaluation.genome import COLUMNS, DECISION_COLUMNS, genome, labelled
from crystalbench.probes.probe import Probe
from crystalbench.reports.genome import genome_sections
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.targets import Kind
from crystalbench.tasks import Task

log = logging.getLogger(__name__)


class Diffraction(Probe):
    """Areas under the ROC curve by input, and the rule of `crystalbench.evaluation.genome`.

    ``crystalbench probe diffraction --suite genome`` runs all inputs and controls. The input of a diffraction network
    that was run without the suite's label follows from its hyperparameters.
    """

    name: ClassVar[str] = "diffraction"
    description: ClassVar[str] = "whether symmetry or intensities of a diffraction pattern matter (--suite genome)"
    position: ClassVar[int] = 70
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.BINARY, Kind.MULTICLASS})
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"genome": COLUMNS, "genome_decisions": DECISION_COLUMNS}

    def describe(self, task: Task) -> pd.DataFrame:
        """The formula of each row, by atomic fractions: rows of one formula are drawn together."""
        inputs = task.inputs
        compositions = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        return pd.DataFrame({"id": inputs.ids, "formula": compositions.normalised_formulas()})

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Areas and decisions of all classification tasks; of several data sets of a task, that with the most records.

        Rows of a task that has not been described are each drawn alone.
        """
        classified = results.scores[results.scores["kind"] != Kind.REGRESSION] if len(results) else results.scores
        parts: list[pd.DataFrame] = []
        formulas: dict[str, dict[str, str]] = {}
        for name in sorted(classified["task"].unique()) if len(classified) else ():
            mine = results.select(task=name)
            runs = mine.scores.drop_duplicates("key")["data"].value_counts().sort_index(kind="stable")
            data = str(runs.idxmax())
            if left := int(runs.sum() - runs.max()):
                log.warning("%s: %d of %d records are of other rows or targets and left out", name, left, runs.sum())
            parts.append(_labelled(mine.select(data=data)))
            if len(answers):
                rows = answers[(answers["task"] == name) & (answers["data"] == data)]
                formulas[name] = dict(zip(rows["id"], rows["formula"], strict=True))
            if not formulas.get(name):
                formulas.pop(name, None)
                log.warning("%s: its formulas are not known, so that its rows are drawn one by one; probe it", name)
        predictions = pd.concat(parts, ignore_index=True) if parts else Results([]).predictions
        found = genome(predictions, formulas)
        return {"genome": found.areas, "genome_decisions": found.decisions}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """What is decided, and all areas of each task."""
        return genome_sections(tables["genome"], tables["genome_decisions"])


def _labelled(results: Results) -> pd.DataFrame:
    """The predictions, with labels that name the input."""
    settings = results.scores.drop_duplicates("configuration").set_index("configuration")["settings"].map(json.loads)
    predictions = results.predictions
    pairs = predictions[["model", "configuration"]].drop_duplicates()
    names = {(m, c): labelled(m, settings[c]) for m, c in pairs.itertuples(index=False)}
    keys = zip(predictions["model"], predictions["configuration"], strict=True)
    return predictions.assign(model=[names[key] for key in keys])
