"""The winning configuration of a study as a suite, to run it again."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalbench._files import write_text
from crystalbench.data.views import view_names
from crystalbench.errors import CrystalBenchError
from crystalbench.models import get_model, model_names
from crystalbench.results.spec import RunSpec
from crystalbench.results.study import Study
from crystalbench.tasks import task_specs


def to_suite(study: Study, results: Path | None = None) -> str:
    """A suite (TOML) whose only model is the winning configuration, on the study's task.

    A study knows names but no places. Above what is not registered stands a remark that says what to write instead.

    Args:
        study: with a finished trial.
        results: folder of the results; the suite's default without one.

    Raises:
        ValueError: no trial was finished.
    """
    best = study.best
    if best is None:
        raise ValueError(f"study {study.name}: no trial was finished")
    spec = study.spec
    parameters = {**spec.parameters, **best.parameters}
    pairs = ", ".join(f"{name} = {_toml(value)}" for name, value in parameters.items() if value is not None)
    label = f"{study.label}, fold {spec.fold}'s"
    place = "" if results is None else f"results = {_toml(results.as_posix())}\n"
    return (
        f"# Trial {best.number} of {study.name}: {study.metric} {best.value:.6g} on inner rows of fold {spec.fold}.\n"
        "# Found in the training part of this fold, which holds the test rows of the others.\n"
        f"description = {_toml(f'{study.label} as it was tuned on fold {spec.fold}')}\n"
        f"{place}"
        f"{_task_remark(spec)}tasks = [{_toml(spec.task)}]\n"
        f"{_model_remark(spec)}{_none_remark(spec, parameters)}models = [\n"
        f"    {{ model = {_toml(spec.model)}, label = {_toml(label)}, parameters = {{ {pairs} }} }},\n"
        "]\n\n"
        "[protocol]\n"
        f"inner_folds = {spec.protocol.inner_folds}\n"
        f"{_view_remark(spec)}views = [{_toml(spec.view)}]\n"
    )


def _task_remark(spec: RunSpec) -> str:
    if spec.task in task_specs():
        return ""
    return "# Not a registered task: write the path of its task file (.toml) instead.\n"


def _model_remark(spec: RunSpec) -> str:
    if spec.model in model_names() or _can_be_imported(spec):
        return ""
    if ":" not in spec.model:
        return "# Not a registered model: install the package that has it.\n"
    return f"# Not a registered model: write where it is, {_toml(f'path/to/{spec.model}')}.\n"


def _can_be_imported(spec: RunSpec) -> bool:
    place, colon, _ = spec.model.rpartition(":")
    return bool(colon) and not place.endswith(".py")


def _none_remark(spec: RunSpec, parameters: Mapping[str, Any]) -> str:
    """TOML has no None, so that the model's default would stand where None won."""
    empty = [name for name, value in parameters.items() if value is None]
    if empty and (spec.model in model_names() or _can_be_imported(spec)):
        without = _without_value(spec.model)
        empty = [name for name in empty if name not in without]
    if not empty:
        return ""
    options = " ".join(f"--set {name}=null" for name in empty)
    return (
        f"# A suite cannot say that {' and '.join(empty)} = None, and would take the default: run it with {options}\n"
    )


def _without_value(model: str) -> set[str]:
    """Hyperparameters whose default is None, as far as the model can be loaded."""
    try:
        fields = dataclasses.fields(get_model(model))  # type: ignore[arg-type]
    except (CrystalBenchError, TypeError):
        return set()
    return {field.name for field in fields if field.default is None}


def _view_remark(spec: RunSpec) -> str:
    if spec.view in view_names():
        return ""
    return '# Not a registered view: write where it is, "path/to/file.py:name".\n'


def write_suite(study: Study, folder: Path) -> Path:
    """Write the winning configuration beside the page.

    Args:
        study: with a finished trial.
        folder: where to; below ``studies``, the suite's results go to the folder that ``studies`` is in.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study.name}.toml"
    write_text(path, to_suite(study, _results_of(folder)))
    return path


def _results_of(folder: Path) -> Path | None:
    """The folder of results that pages belong to, relative to where the command is called if it is below."""
    if folder.parent.name != "studies":
        return None
    results, here = folder.parent.parent, Path.cwd()
    return results.relative_to(here) if results.is_relative_to(here) else results


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)(e.*)?$", r"\1.0\2", repr(value))
    return json.dumps(value)
