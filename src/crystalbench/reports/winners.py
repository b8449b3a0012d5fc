"""The chosen configuration of a study as a suite, to run it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from crystalbench._files import write_text
from crystalbench.data.views import is_registered
from crystalbench.errors import CrystalBenchError
from crystalbench.models import get_model, model_names
from crystalbench.results.spec import FoldSchemeSpec, RunSpec
from crystalbench.results.study import Study
from crystalbench.tasks import task_specs
from crystalbench.tasks.schemes import fold_schemes


def to_suite(study: Study, results: Path | None = None) -> str:
    """A suite (TOML) with the study's task, and the chosen configuration as its only model.

    A study knows names but not the places of files. A comment above each name that is not registered says what to
    write instead.

    Args:
        study: a study with a completed trial.
        results: folder of the results; without one, the suite uses its default.

    Raises:
        ValueError: no trial was completed.
    """
    chosen = study.chosen
    if chosen is None:
        raise ValueError(f"study {study.name}: no trial was completed")
    spec = study.spec
    parameters = {**spec.parameters, **chosen.parameters}
    suite = tomlkit.document()
    score = f"{study.metric} {chosen.value:.6g} on inner rows of fold {spec.fold}"
    suite.add(tomlkit.comment(f"Trial {chosen.number} of {study.name}: {score}."))
    suite.add(tomlkit.comment("Tuned on the training part of this fold, which contains the test rows of the others."))
    suite.add("description", tomlkit.item(f"{study.label}, tuned on fold {spec.fold}"))
    if results is not None:
        suite.add("results", tomlkit.item(results.as_posix()))
    _add(suite, "tasks", [spec.task], _task_comments(spec))
    _add(suite, "models", _models(study, parameters), [*_model_comments(spec), *_none_comments(spec, parameters)])
    protocol = tomlkit.table()
    protocol.add("inner_folds", spec.protocol.inner_folds)
    _add(protocol, "views", [spec.view], _view_comments(spec))
    if spec.fold_scheme is not None:
        _add(protocol, "fold_scheme", spec.folds_text, _fold_comments(spec.fold_scheme))
    suite.add("protocol", protocol)
    return suite.as_string()


def _add(table: Any, key: str, value: Any, comments: Iterator[str] | list[str]) -> None:
    """Add a key with comments above it."""
    for text in comments:
        table.add(tomlkit.comment(text))
    table.add(key, value)


def _models(study: Study, parameters: Mapping[str, Any]) -> Any:
    """An array with the chosen configuration. TOML has no null: parameters without a value are left out."""
    model = tomlkit.inline_table()
    model.add("model", study.spec.model)
    model.add("label", f"{study.label}, fold {study.spec.fold}")
    chosen = tomlkit.inline_table()
    for name, value in parameters.items():
        if value is not None:
            chosen.add(name, value)
    model.add("parameters", chosen)
    models = tomlkit.array()
    models.append(model)
    return models.multiline(True)


def _task_comments(spec: RunSpec) -> Iterator[str]:
    if spec.task not in task_specs():
        yield "Not a registered task: write the path of its task file (.toml) instead."


def _model_comments(spec: RunSpec) -> Iterator[str]:
    if spec.model in model_names() or _can_be_imported(spec):
        return
    if ":" in spec.model:
        path = tomlkit.item(f"path/to/{spec.model}").as_string()
        yield f"Not a registered model: write where it is, {path}."
    else:
        yield "Not a registered model: install the package that has it."


def _can_be_imported(spec: RunSpec) -> bool:
    place, colon, _ = spec.model.rpartition(":")
    return bool(colon) and not place.endswith(".py")


def _none_comments(spec: RunSpec, parameters: Mapping[str, Any]) -> Iterator[str]:
    """TOML has no null, so the suite would use the model's default where the chosen value is None."""
    empty = [name for name, value in parameters.items() if value is None]
    if empty and (spec.model in model_names() or _can_be_imported(spec)):
        without = _none_by_default(spec.model)
        empty = [name for name in empty if name not in without]
    if empty:
        options = " ".join(f"--set {name}=null" for name in empty)
        yield f"A suite cannot say that {' and '.join(empty)} = None and would use the default: run it with {options}"


def _none_by_default(model: str) -> set[str]:
    """Hyperparameters whose default is None; empty if the model cannot be loaded."""
    try:
        fields = dataclasses.fields(get_model(model))  # type: ignore[arg-type]
    except (CrystalBenchError, TypeError):
        return set()
    return {field.name for field in fields if field.default is None}


def _view_comments(spec: RunSpec) -> Iterator[str]:
    if not is_registered(spec.view):
        yield 'Not a registered view: write where it is, "path/to/file.py:name".'


def _fold_comments(scheme: FoldSchemeSpec) -> Iterator[str]:
    if scheme.name not in fold_schemes():
        yield 'Not a registered fold scheme: write where it is, "path/to/file.py:Class" or "path/to/folds.json".'


def write_suite(study: Study, folder: Path) -> Path:
    """Write the chosen configuration as a suite next to the study's page.

    Args:
        study: a study with a completed trial.
        folder: where to write. If it is below ``studies``, the suite writes its results to the parent of ``studies``.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study.name}.toml"
    write_text(path, to_suite(study, _results_of(folder)))
    return path


def _results_of(folder: Path) -> Path | None:
    """The folder of results that the pages belong to, relative to the working directory if it is below."""
    if folder.parent.name != "studies":
        return None
    results, here = folder.parent.parent, Path.cwd()
    return results.relative_to(here) if results.is_relative_to(here) else results
