"""Saving and loading fitted models as numeric arrays and JSON; reading them executes no code."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes
from safetensors.numpy import save as arrays_to_bytes

from crystalbench._files import new_folder
from crystalbench.errors import ConfigError, SavingError
from crystalbench.models.model import Model, Runtime
from crystalbench.models.names import name_of, title_of
from crystalbench.models.registry import get_model
from crystalbench.targets import Kind, Target

FORMAT = 1
DESCRIPTION, ARRAYS = "model.json", "arrays.safetensors"


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    kind: Kind
    unit: str
    classes: tuple[str, ...]


class _Description(BaseModel):
    """The content of ``model.json``, which also contains a digest of this content."""

    model_config = ConfigDict(extra="forbid")

    format: int
    model: str
    class_name: str
    model_version: int
    parameters: dict[str, Any]
    target: _Target
    facts: dict[str, Any]
    arrays_sha256: str


def check_can_be_saved(model: type[Model]) -> None:
    """Check before a long fit that a model class defines what saving needs.

    Raises:
        SavingError: it does not.
    """
    if model.state is Model.state or model.restore is Model.restore:
        raise SavingError(f"{model.__name__} cannot be saved until it defines state() and restore(arrays, facts)")


def save_model(model: Model, folder: Path | str) -> None:
    """Write a fitted model to a new folder, which `load_model` reads.

    The folder contains ``model.json`` (class, version, hyperparameters, target, facts) and ``arrays.safetensors``. It
    is complete or not written at all.

    Raises:
        SavingError: the model is not fitted, its class does not define ``state``, the folder exists already, or it
            cannot be written.
    """
    folder = Path(folder)
    name = title_of(type(model))
    target = getattr(model, "target", None)
    if target is None:
        raise SavingError(f"{name} is not fitted, so there is nothing to save (fit has to set self.target)")
    if folder.exists():
        raise SavingError(f"{folder}: exists already; choose the name of a new folder")
    arrays, facts = model.state()
    data = to_bytes(name, arrays)
    body = {
        "format": FORMAT,
        "model": name_of(type(model)),
        "class_name": type(model).__qualname__,
        "model_version": model.version,
        "parameters": model.configuration(),
        "target": {"name": target.name, "kind": target.kind, "unit": target.unit, "classes": target.classes},
        "facts": facts,
        "arrays_sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        body = json.loads(json.dumps(body, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SavingError(f"{name}: its facts and hyperparameters must be valid JSON: {error}") from error
    text = json.dumps(body | {"digest": _digest(body)}, indent=1, ensure_ascii=False) + "\n"
    try:
        with new_folder(folder) as temporary:
            (temporary / DESCRIPTION).write_text(text, encoding="utf-8")
            (temporary / ARRAYS).write_bytes(data)
    except OSError as error:
        raise SavingError(f"{folder}: cannot be written ({error})") from error


def load_model(
    folder: Path | str, *, device: str = "cpu", threads: int = 1, model: type[Model] | str | None = None
) -> Model:
    """Load a fitted model that `save_model` wrote; its predictions are the same.

    No code from the folder is executed: registered models are found by name, and other classes if they are imported
    already. Otherwise pass the class.

    Args:
        folder: the folder that was written.
        device: torch device for predictions.
        threads: number of threads for predictions.
        model: the class, or its name or location, for a model that is neither registered nor imported.

    Raises:
        SavingError: the folder does not exist or is damaged, its class is not known, or the model was fitted by another
            version of the class.
        ConfigError: ``model`` cannot be found.
    """
    folder = Path(folder)
    description = _described(folder)
    found = get_model(model) if isinstance(model, str) else model or _class_of(folder, description.model)
    if found.__qualname__ != description.class_name:
        raise SavingError(f"{folder}: contains a {description.class_name}, not a {found.__qualname__}")
    if found.version != description.model_version:
        raise SavingError(
            f"{folder}: was fitted by version {description.model_version} of {title_of(found)}, and this is version "
            f"{found.version}, which may predict differently; fit it again"
        )
    arrays = _arrays_of(folder, description)
    try:
        loaded = found.from_configuration(description.parameters)
    except ConfigError as error:
        raise SavingError(f"{folder}: its hyperparameters do not suit {title_of(found)} ({error})") from error
    loaded.runtime = Runtime(device=device, threads=threads)
    loaded.target = Target(**dict(description.target))
    try:
        loaded.restore(arrays, description.facts)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise SavingError(f"{folder}: lacks what {title_of(found)} needs ({type(error).__name__}: {error})") from error
    return loaded


def _class_of(folder: Path, name: str) -> type[Model]:
    module, _, attribute = name.rpartition(":")
    if not module:
        try:
            return get_model(name)
        except ConfigError as error:
            raise SavingError(f"{folder}: contains the model {name!r}, which is not available: {error}") from error
    found = getattr(sys.modules.get(module), attribute, None)
    if not (inspect.isclass(found) and issubclass(found, Model)):
        raise SavingError(
            f"{folder}: contains a {name}, which is neither registered nor imported; "
            "pass its class: load_model(folder, model=...)"
        )
    return found


def _described(folder: Path) -> _Description:
    file = folder / DESCRIPTION
    if not file.is_file():
        what = f"is not a saved model: it has no {DESCRIPTION}" if folder.is_dir() else "there is no such folder"
        raise SavingError(f"{folder}: {what}")
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        written_by = body["format"]
        digest = body.pop("digest")
        if written_by != FORMAT:
            raise SavingError(f"{folder}: has format {written_by}; this version of CrystalBench reads {FORMAT}")
        if digest != _digest(body):
            raise SavingError(f"{file}: is damaged: it was changed after it was written")
        return _Description.model_validate(body)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ValidationError) as error:
        raise SavingError(f"{file}: is damaged ({type(error).__name__}: {error})") from error


def _arrays_of(folder: Path, description: _Description) -> dict[str, npt.NDArray[Any]]:
    file = folder / ARRAYS
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SavingError(f"{file}: cannot be read ({error})") from error
    if hashlib.sha256(data).hexdigest() != description.arrays_sha256:
        raise SavingError(f"{file}: is damaged, or belongs to another model")
    try:
        return arrays_from_bytes(data)
    except (SafetensorError, KeyError) as error:
        raise SavingError(f"{file}: cannot be read ({error})") from error


def to_bytes(name: str, arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    """Arrays in the format of safetensors.

    Args:
        name: name of the model, for messages.
        arrays: arrays by name.

    Raises:
        SavingError: an array is not numeric.
    """
    # safetensors writes arrays that are not contiguous wrongly, without an error.
    plain = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    for key, array in plain.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise SavingError(f"{name}: the array {key!r} of its state has the type {array.dtype}; it must be numeric")
    try:
        return arrays_to_bytes({key: array.astype(array.dtype.newbyteorder("=")) for key, array in plain.items()})
    except SafetensorError as error:
        raise SavingError(f"{name}: its arrays cannot be written ({error})") from error


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
