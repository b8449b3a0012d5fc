"""Records as data frames: one row per run and metric, or one row per predicted sample.

`crystalbench.evaluation` and `crystalbench.reports` work on these frames and never read records themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from crystalbench.results.entry import EntryStore, ImportedEntry, joined
from crystalbench.results.record import Record
from crystalbench.results.sealed import digest
from crystalbench.sees import Sees
from crystalbench.targets import OFFICIAL

DTYPES: dict[str, str] = {
    "task": "object",
    "data": "object",
    "model": "object",
    "view": "object",
    "protocol": "object",
    "fold": "int64",
    "seed": "int64",
    "metric": "object",
    "score": "float64",
    "unit": "object",
    "kind": "object",
    "main_metric": "object",
    "model_name": "object",
    "model_version": "int64",
    "rows": "int64",
    "rows_total": "int64",
    "folds_total": "int64",
    "rows_train": "int64",
    "rows_valid": "int64",
    "rows_test": "int64",
    "fit_seconds": "float64",
    "fit_waited_seconds": "float64",
    "predict_seconds": "float64",
    "featurise_seconds": "float64",
    "memory_mb": "float64",
    "parameters": "Int64",
    "device": "object",
    "threads": "int64",
    "concurrent": "Int64",
    "processor": "object",
    "finished": "object",
    "study": "object",
    "tuned_fold": "Int64",
    "tuned_trial": "Int64",
    "trials": "Int64",
    "failed_trials": "Int64",
    "tuning_seconds": "float64",
    "tuning_gain": "float64",
    "tuning_gain_error": "float64",
    "settings": "object",
    "key": "object",
    "configuration": "object",
    "untuned": "object",
    "defaults_chosen_here": "bool",
    "sees": "object",
    "source": "object",
    "pretrained_on": "object",
    "notes": "object",
    "fold_scheme": "object",
    "train_fraction": "float64",
    "has_std": "bool",
}
"""Columns of the scores frame, with their types; `scores_frame` says what they mean."""

PREDICTION_FACTS = (
    "task",
    "data",
    "model",
    "view",
    "protocol",
    "fold",
    "seed",
    "kind",
    "unit",
    "main_metric",
    "rows",
    "key",
    "configuration",
    "fold_scheme",
    "train_fraction",
)
"""Columns of the scores frame that the predictions frame repeats for each sample."""

_MEASURED = ("fit_seconds", "fit_waited_seconds", "predict_seconds", "featurise_seconds", "memory_mb")

OURS = "ours"
"""Source of the runs of this package, as opposed to those of imported entries."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class EntryRun:
    """One fold of an imported entry, which is a row of the frames like a run.

    Attributes:
        path: file of the entry.
        entry: its facts and scores.
        fold: number of the fold.
        data: digest of the task's data: of the records of the same rows, or the entry's own.
        rows: rows of the task that were available.
        has_std: whether the entry predicts standard deviations.
    """

    path: Path
    entry: ImportedEntry
    fold: int
    data: str
    rows: int
    has_std: bool = False

    @property
    def scores(self) -> dict[str, float | None]:
        """All metrics on this fold."""
        return next(fold.scores for fold in self.entry.folds if fold.fold == self.fold)


def scores_frame(runs: Iterable[Record | EntryRun]) -> pd.DataFrame:
    """One row per run and metric.

    Args:
        runs: records, and folds of imported entries; read one at a time, and only their scores and costs are kept.

    Returns:
        The frame, whose index ``run`` is the position of the record, with the columns

        * ``task``, ``data`` (digest of the task's rows, targets and folds), ``kind`` of the target, ``main_metric``
        * ``model``: the label in tables; ``model_name``: the registered name or ``module:Class``; ``model_version``
        * ``view``; ``protocol``: ``default``, ``tuned``, or ``tuned on fold 0`` if the search of one fold serves all
        * ``fold``, ``seed``
        * ``metric``, ``score`` (NaN where it is not defined), ``unit`` of the target
        * ``rows``: rows of the task that were available; ``rows_total``: rows of the complete task;
          ``folds_total``: folds of the task; ``rows_train``, ``rows_valid``, ``rows_test``: rows of this run
        * ``fit_seconds``, ``predict_seconds``, ``featurise_seconds``: wall-clock times; ``fit_waited_seconds``: the
          part of ``fit_seconds`` spent waiting for a processor, missing if unknown; ``memory_mb``: peak resident
          memory in 10^6 bytes; ``parameters``: number of fitted parameters; ``device``, ``threads``
        * ``concurrent``: processes in which the command computed runs at the same time, missing if unknown;
          ``processor``: name of the processor, or of the GPU that was used; empty if unknown
        * ``finished``: UTC time, ISO 8601
        * ``study``, ``tuned_fold``, ``tuned_trial`` (0 is the configuration before tuning), ``trials``,
          ``failed_trials``, ``tuning_seconds``: the tuning study behind a run; missing where nothing was tuned
        * ``tuning_gain``, ``tuning_gain_error``: improvement of the best trial on the default in the study, and its
          standard error; NaN where nothing was tuned, or where one of the two was not completed
        * ``settings``: JSON text with versions, protocol and hyperparameters, to tell configurations apart
        * ``key``: hash of the run's specification; ``configuration``: the same without fold and seed; ``untuned``: the
          configuration of the same run without tuning.
        * ``defaults_chosen_here``: whether rows of this task were used in choosing the defaults of the model
        * ``sees``: what the model saw under the view of the run (see `crystalbench.sees.Sees`)
        * ``source``: ``ours``, or ``published`` or ``imported`` for imported entries, which have no costs
        * ``pretrained_on``: data sets that a pretrained part of the model has seen, separated by commas
        * ``notes``: what a reader should know about the entry, separated by semicolons
        * ``fold_scheme``: ``official``, or how other folds were made, e.g. ``element:O``
        * ``train_fraction``: share of the training part that the model learned from, 1 for all of it
        * ``has_std``: whether standard deviations are predicted
    """
    facts: list[Row] = []
    lengths: list[int] = []
    metrics: list[str] = []
    scores: list[float] = []
    for run in runs:
        facts.append(run_facts(run) if isinstance(run, Record) else entry_facts(run))
        lengths.append(len(run.scores))
        metrics += run.scores
        scores += [np.nan if score is None else score for score in run.scores.values()]
    columns = _repeated(facts, lengths, [name for name in DTYPES if name not in ("metric", "score")])
    columns |= {"metric": np.array(metrics, object), "score": np.array(scores, np.float64)}
    index = pd.Index(np.repeat(np.arange(len(facts)), lengths), name="run")
    return pd.DataFrame({name: columns[name] for name in DTYPES}).set_index(index)


def _repeated(facts: Sequence[Row], lengths: Sequence[int], names: Iterable[str]) -> dict[str, Any]:
    """Columns in which the facts of each run are repeated."""
    columns: dict[str, Any] = {}
    for name in names:
        values = [row[name] for row in facts]
        made = pd.array(values, dtype="Int64") if DTYPES[name] == "Int64" else np.array(values, dtype=DTYPES[name])
        columns[name] = made.repeat(lengths)
    return columns


def run_facts(record: Record) -> Row:
    """Everything in the scores frame but metric and score."""
    spec, tuned = record.spec, record.tuned
    decision = None if tuned is None else tuned.decision
    plain = spec.model_dump(mode="json", exclude={"fold", "seed"})
    configuration = digest(plain)
    return {
        "task": spec.task,
        "data": spec.data,
        "model": record.label,
        "view": spec.view,
        "protocol": protocol_of(record),
        "fold": spec.fold,
        "seed": spec.seed,
        "unit": record.unit,
        "kind": record.kind,
        "main_metric": record.metric,
        "model_name": spec.model,
        "model_version": spec.model_version,
        "rows": record.rows.task,
        "rows_total": record.rows.task_total,
        "folds_total": record.rows.task_folds,
        "rows_train": record.rows.train,
        "rows_valid": record.rows.valid,
        "rows_test": record.rows.test,
        "fit_seconds": record.seconds.fit,
        "fit_waited_seconds": np.nan if record.seconds.fit_waited is None else record.seconds.fit_waited,
        "predict_seconds": record.seconds.predict,
        "featurise_seconds": record.seconds.featurise,
        "memory_mb": record.peak_memory_mb,
        "parameters": record.n_parameters,
        "device": record.device,
        "threads": record.threads,
        "concurrent": record.concurrent,
        "processor": str(record.environment.get("gpu") or record.environment.get("processor") or ""),
        "finished": record.finished,
        "study": None if tuned is None else tuned.study,
        "tuned_fold": None if tuned is None else tuned.fold,
        "tuned_trial": None if tuned is None else tuned.trial,
        "trials": None if tuned is None else tuned.trials,
        "failed_trials": None if tuned is None else tuned.failed,
        "tuning_seconds": np.nan if tuned is None else tuned.seconds,
        "tuning_gain": np.nan if decision is None or decision.gain is None else decision.gain,
        "tuning_gain_error": (
            np.nan if decision is None or decision.standard_error is None else decision.standard_error
        ),
        "settings": json.dumps(settings_of(record), ensure_ascii=False),
        "key": spec.key,
        "configuration": configuration,
        "untuned": configuration if spec.tuning is None else digest({**plain, "tuning": None}),
        "defaults_chosen_here": spec.task in record.defaults_chosen_on,
        "sees": record.sees,
        "source": OURS,
        "pretrained_on": joined(record.pretrained_on),
        "notes": "",
        "fold_scheme": spec.folds_text,
        "train_fraction": 1.0 if spec.train_fraction is None else spec.train_fraction,
        "has_std": record.predictions.std is not None,
    }


def entry_facts(run: EntryRun) -> Row:
    """Everything in the scores frame but metric and score, of one fold of an imported entry."""
    entry = run.entry
    configuration = digest([entry.task, entry.name, entry.rows_sha256])
    settings = {"source": entry.source, "file": entry.origin.file}
    return {
        "task": entry.task,
        "data": run.data,
        "model": entry.name,
        "view": "full",
        "protocol": "default",
        "fold": run.fold,
        "seed": 0,
        "unit": entry.unit,
        "kind": entry.kind,
        "main_metric": entry.metric,
        "model_name": "",
        "model_version": 0,
        "rows": run.rows,
        "rows_total": entry.rows_total,
        "folds_total": entry.folds_total,
        "rows_train": 0,
        "rows_valid": 0,
        "rows_test": next(fold.rows for fold in entry.folds if fold.fold == run.fold),
        **dict.fromkeys(
            ("fit_seconds", "fit_waited_seconds", "predict_seconds", "featurise_seconds", "memory_mb"), np.nan
        ),
        "parameters": None,
        "device": "",
        "threads": 0,
        "concurrent": None,
        "processor": "",
        "finished": entry.imported,
        **dict.fromkeys(("study", "tuned_fold", "tuned_trial", "trials", "failed_trials")),
        **dict.fromkeys(("tuning_seconds", "tuning_gain", "tuning_gain_error"), np.nan),
        "settings": json.dumps(settings, ensure_ascii=False),
        "key": digest([configuration, run.fold]),
        "configuration": configuration,
        "untuned": configuration,
        "defaults_chosen_here": False,
        "sees": Sees.UNDECLARED.value,
        "source": entry.source,
        "pretrained_on": joined(entry.pretrained_on),
        "notes": "; ".join(entry.notes),
        "fold_scheme": OFFICIAL,
        "train_fraction": 1.0,
        "has_std": run.has_std,
    }


def protocol_of(record: Record) -> str:
    """How the hyperparameters were found: ``default``, ``tuned``, or ``tuned on fold 0``."""
    if record.spec.tuning is None:
        return "default"
    if record.spec.tuning.scheme == "per_fold" or record.tuned is None:
        return "tuned"
    return f"tuned on fold {record.tuned.fold}"


def settings_of(record: Record) -> dict[str, Any]:
    """Versions, protocol and hyperparameters of a run, flat, in the order in which tables name them."""
    spec = record.spec
    settings = {
        "model": spec.model,
        "version": spec.model_version,
        "code": (spec.model_code or "")[:8],
        "view_version": spec.view_version,
        **spec.protocol.model_dump(mode="json"),
    }
    if spec.tuning is not None:
        tuning = spec.tuning.model_dump(mode="json")
        settings |= {f"tuning_{name}": value for name, value in tuning.items() if value is not None}
        settings["tuning_space"] = spec.tuning.space[:8]
    return {**settings, **spec.parameters}


def predictions_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per predicted sample.

    Args:
        records: read one at a time.

    Returns:
        The frame, with the columns

        * ``task``, ``data``, ``model``, ``view``, ``protocol``, ``fold``, ``seed``, ``kind``, ``unit``,
          ``main_metric``, ``rows``, ``key``, ``configuration``, ``fold_scheme``, ``train_fraction``: of the run, as in
          `scores_frame`
        * ``id`` of the sample; ``target``: its true value, or the number of its class
        * ``prediction``: a value in the unit of the target, or the probability of class 1 of a binary target; NaN for
          multiclass targets
        * ``std``: predicted standard deviation; NaN where the model gives none
        * ``p_0``, ``p_1``, ...: probabilities of the classes of a multiclass target; the columns exist only if there
          are such predictions.
    """
    facts: list[Row] = []
    lengths: list[int] = []
    ids: list[str] = []
    known: dict[str, str] = {}  # one string object per id, however many runs predicted it
    parts: dict[str, list[np.ndarray[Any, np.dtype[np.float64]]]] = {"target": [], "prediction": [], "std": []}
    classes: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for record in records:
        made = record.predictions
        n = len(made.ids)
        facts.append(run_facts(record))
        lengths.append(n)
        ids += [known.setdefault(i, i) for i in made.ids]
        values = np.asarray(made.values, dtype=np.float64)
        missing = np.full(n, np.nan)
        parts["target"].append(np.asarray(made.targets, dtype=np.float64))
        parts["prediction"].append(values if values.ndim == 1 else missing)
        parts["std"].append(missing if made.std is None else np.asarray(made.std, dtype=np.float64))
        classes.append(values if values.ndim == 2 else np.empty((n, 0)))
    columns = _repeated(facts, lengths, PREDICTION_FACTS)
    columns["id"] = np.array(ids, dtype=object)
    columns |= {name: np.concatenate(values) if values else np.empty(0) for name, values in parts.items()}
    for c in range(max((p.shape[1] for p in classes), default=0)):
        columns[f"p_{c}"] = np.concatenate([p[:, c] if c < p.shape[1] else np.full(len(p), np.nan) for p in classes])
    return pd.DataFrame(columns, copy=False)


def entry_predictions_frame(runs: Iterable[EntryRun]) -> pd.DataFrame:
    """One row per predicted sample of imported entries, with the columns of `predictions_frame`.

    Args:
        runs: folds of imported entries; each file is read once.

    Raises:
        RecordError: a file was deleted or damaged since the scores were read.
    """
    by_path: dict[Path, list[EntryRun]] = {}
    for run in runs:
        by_path.setdefault(run.path, []).append(run)
    parts = []
    for path, wanted in by_path.items():
        rows = EntryStore(path.parents[1]).read_rows(path)
        for run in wanted:
            part = rows[rows["fold"] == run.fold]
            facts = entry_facts(run)
            columns = {name: np.full(len(part), facts[name], dtype=DTYPES[name]) for name in PREDICTION_FACTS}
            values = {name: part[name].to_numpy(np.float64) for name in ("target", "prediction", "std")}
            parts.append(pd.DataFrame({**columns, "id": part["id"].to_numpy(object), **values}))
    return pd.concat(parts, ignore_index=True) if parts else predictions_frame([])
