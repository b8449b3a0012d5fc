"""Which parts of the capsule network earn their place, and what its capsules say about atoms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import FULL
from crystalbench.data.views.view import parts_of
from crystalbench.errors import ConfigError
from crystalbench.evaluation.capsule_readings import (
    ERROR,
    LABELS,
    READING_COLUMNS,
    TRAINED,
    UNTRAINED,
    WITHOUT,
    capsule_readings,
)
from crystalbench.evaluation.factorial import VARIANT_COLUMNS, Contrast, variants_frame
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.models.dummy import Dummy
from crystalbench.models.sen import SEN
from crystalbench.probes.choices import require_structures, with_structures
from crystalbench.probes.fitted import Fitted
from crystalbench.probes.probe import Probe, Reading
from crystalbench.reports.formatting import MISSING, format_spec
from crystalbench.reports.sections import Section, estimate, with_views
from crystalbench.representations import AtomSites, represent
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Run, Selection
from crystalbench.runs.suite import Suite
from crystalbench.tasks import DataSources

REFERENCE = "sen"
"""Label of the network with all its parts."""

_FLAT = "_without_directions"
_POOLINGS = ("learned", "uniform", "mean")
_WITH = (REFERENCE, *_POOLINGS)
_WITHOUT = (f"agreement{_FLAT}", *(f"{pooling}{_FLAT}" for pooling in _POOLINGS))

CONTRASTS = (
    Contrast("effect of directions", _WITH, _WITHOUT),
    Contrast("effect of capsules", (REFERENCE, f"agreement{_FLAT}"), ("mean", f"mean{_FLAT}")),
    Contrast("effect of routing by agreement", (REFERENCE, f"agreement{_FLAT}"), ("learned", f"learned{_FLAT}")),
    Contrast("effect of memberships", ("learned", f"learned{_FLAT}"), ("uniform", f"uniform{_FLAT}")),
)
"""Effects that the suite ``capsules`` tests, by the labels of its models."""


KEEP_ATOMS = frozenset({FULL, "anonymous", "chemistry_shuffled", "species_shuffled", "perturbed", "unit_density"})
"""Views under which a network gets the atoms of the crystal in their order, so that couplings belong to them."""


class Capsules(Probe):
    """The factorial of directions and poolings of `sen`, and readings of the capsules of each network that has them.

    ``crystalbench probe capsules --suite capsules`` runs the factorial. Of an ensemble, the first member is read.
    Nothing is read under views other than `KEEP_ATOMS`, e.g. of the primitive cell.
    """

    name: ClassVar[str] = "capsules"
    description: ClassVar[str] = "which parts of the capsule network earn their place (--suite capsules)"
    position: ClassVar[int] = 60
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "capsules": VARIANT_COLUMNS,
        "capsule_readings": READING_COLUMNS,
    }
    suite: ClassVar[str] = "capsules"

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """The selected runs on tasks on which a network with capsules runs.

        Raises:
            ConfigError: no selected model has capsules, or no task has structures.
        """
        require_structures(self.name, suite, selection)
        plan = with_structures(self.name, super().plan(suite, selection, sources, reading))
        if not any(map(_has_capsules, plan.runs)):
            labels = dict.fromkeys(run.label for run in plan.runs)
            raise ConfigError(
                f"probe {self.name}: none of these models has capsules: {', '.join(labels)}; choose sen, hybrid_sen or "
                "a class derived from SEN, with another pooling than mean"
            )
        notes = []
        if others := dict.fromkeys(run.label for run in plan.runs if not issubclass(run.model, (SEN, Dummy))):
            notes.append(f"without capsules, so that nothing is read from them: {', '.join(others)}")
        if unread := dict.fromkeys(run.spec.view for run in plan.runs if _has_capsules(run) and not _keeps_atoms(run)):
            notes.append(f"these views may change the list of atoms, so that no capsules are read: {', '.join(unread)}")
        if all(run.label != REFERENCE for run in plan.runs):
            notes.append(f"differences are from {REFERENCE}, which is not among the models: scores only")
        return Plan(plan.runs, plan.tasks, [*plan.notes, *notes])

    def asks_models_of(self, run: Run) -> bool:
        """Whether the models have capsules, and got the atoms of the crystals in their order."""
        return _has_capsules(run) and _keeps_atoms(run) and isinstance(run.task.inputs, Crystals)

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        """One row per atom of the test part: its element and site, and its couplings to the capsules.

        With them are the error of its crystal, and the error if a capsule is deleted.
        """
        model, test = fitted.members[0], fitted.test
        assert isinstance(model, SEN) and isinstance(test, Crystals)  # others are not asked
        samples = fitted.samples(test)
        sites = represent(AtomSites(), test, fitted.processes)[0].values
        counts = test.atom_counts
        rows: dict[str, Any] = {
            "id": np.repeat(test.ids, counts),
            "atom": np.concatenate([np.arange(count) for count in counts]),
            "element": np.asarray(sites["numbers"], np.int64),
            "coordination": sites["coordination"],
            "log_site_order": np.log(sites["site_order"]),
        }
        for prefix, trained in ((TRAINED, True), (UNTRAINED, False)):
            couplings = model.explain(samples, trained=trained).couplings
            rows |= {f"{prefix}{k}": couplings[:, k].astype(np.float64) for k in range(couplings.shape[1])}
        rows |= {name: np.repeat(errors, counts) for name, errors in _errors(model, samples, fitted.targets).items()}
        return pd.DataFrame(rows)

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Differences of the variants from the complete network, effects of its parts, and readings of capsules."""
        boards = [b for b in leaderboards(results.scores, results.predictions_on_other_folds) if b.is_official]
        return {
            "capsules": variants_frame(boards, REFERENCE, CONTRASTS),
            "capsule_readings": capsule_readings(answers),
        }

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """Tables for each task, with what is resolved in words."""
        found = []
        for task, rows in tables["capsules"].groupby("task", sort=False):
            cells = [_cells(row) for row in rows.to_dict("records")]
            resolved = rows[rows["p_holm"] < 0.05]["variant"].tolist()
            words = f"Resolved after Holm's correction: {', '.join(resolved) or 'nothing'}."
            titles = [
                "variant",
                str(rows["metric"].iloc[0]),
                "difference",
                "95 % interval",
                "p",
                "p (Holm)",
                "folds × seeds",
            ]
            found.append(Section(f"{task}: differences from {REFERENCE}", titles, cells, [words]))
        readings = tables["capsule_readings"]
        found += [_reading_section(str(task), part) for task, part in readings.groupby("task", sort=False)]
        return found


def _has_capsules(run: Run) -> bool:
    return issubclass(run.model, SEN) and run.spec.parameters["pooling"] != "mean"


def _keeps_atoms(run: Run) -> bool:
    return set(parts_of(run.spec.view)) <= KEEP_ATOMS


def _errors(model: SEN, samples: Samples, targets: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Errors (n,) of n crystals with all capsules, and without each of them.

    An error is absolute, or one minus the probability of the true one of several classes.
    """

    def errors(predictions: Predictions) -> npt.NDArray[np.float64]:
        values = np.asarray(predictions.values, np.float64)
        if values.ndim == 2:
            return 1 - values[np.arange(len(values)), targets.astype(np.int64)]
        return np.abs(values - targets)

    found = {ERROR: errors(model.predict(samples))}
    if model.capsules > 1:
        found |= {f"{WITHOUT}{k}": errors(model.predict_without(samples, k)) for k in range(model.capsules)}
    return found


def _reading_section(task: str, readings: pd.DataFrame) -> Section:
    """Readings of the capsules of each model, with what they say beyond the element in words."""
    named = with_views(readings)
    words = []
    for model, mine in named.groupby("model", sort=False):
        low = dict(zip(mine["quantity"], mine["low"], strict=True))
        beyond = [what.replace("_", " ") for what in LABELS if _is_read(low, what)]
        words.append(f"{model}: read beyond the element and the controls: {', '.join(beyond) or 'nothing'}.")
    return Section.crossed(
        f"{task}: what capsules say about atoms",
        named,
        "quantity",
        "model",
        lambda row: estimate(row["value"], row["low"], row["high"]),
        words,
    )


def _is_read(low: Mapping[str, float], what: str) -> bool:
    """Whether capsules tell something beyond the element, and beyond each control, at the 5 % level."""
    return all(low.get(name, 0) > 0 for name in (what, f"{what}_over_untrained", f"{what}_over_permuted"))


def _cells(row: Mapping[Any, Any]) -> list[str]:
    def number(name: str, sign: str = "") -> str:
        value = float(row[name])
        return MISSING if math.isnan(value) else f"{value:{sign}{format_spec(abs(value))}}"

    interval = MISSING if math.isnan(row["low"]) else f"{number('low', '+')} to {number('high', '+')}"
    p = [MISSING if math.isnan(row[name]) else f"{row[name]:.2g}" for name in ("p", "p_holm")]
    folds = f"{row['folds']} × {row['seeds']}"
    return [str(row["variant"]), number("mae"), number("difference", "+"), interval, *p, folds]
