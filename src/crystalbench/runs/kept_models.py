"""Kept models: fitted models saved next to the records, in a folder for each run."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from crystalbench._files import write_bytes
from crystalbench.errors import SavingError
from crystalbench.models import save_model
from crystalbench.models.model import Model
from crystalbench.results.record import Record
from crystalbench.results.spec import RunSpec
from crystalbench.results.store import RecordStore

log = logging.getLogger(__name__)


def folder_of_models(root: Path, record: Record) -> Path:
    """The folder of the fitted models of a run: named as its record, with a folder ``member-<k>`` for each member."""
    return root / record.file_name.removesuffix(".json")


def save_models(record: Record, models: Iterable[Model], root: Path) -> bool:
    """Save the fitted models of a run below a folder. They replace models saved by an earlier attempt.

    Returns:
        Whether all of them were saved. If not, a warning names the model and the reason.
    """
    folder = folder_of_models(root, record)
    try:
        if folder.exists():
            shutil.rmtree(folder)
        for number, model in enumerate(models):
            save_model(model, folder / f"member-{number}")
    except (SavingError, OSError) as error:
        run = f"{record.spec.task}, fold {record.spec.fold}, seed {record.spec.seed}"
        log.warning("the fitted model %s of %s, was not kept: %s", record.label, run, error)
        return False
    return True


def models_as_files(record: Record, models: Iterable[Model]) -> dict[str, bytes]:
    """What `save_models` would write: content by path below the folder; nothing if the models cannot be saved."""
    with tempfile.TemporaryDirectory(prefix="crystalbench-") as name:
        root = Path(name)
        if not save_models(record, models, root):
            return {}
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write_model_files(record: Record, files: Mapping[str, bytes], root: Path) -> None:
    """Write the files of `models_as_files` below a folder; a warning is logged if they cannot be written."""
    try:
        if (folder := folder_of_models(root, record)).exists():
            shutil.rmtree(folder)
        for name, content in files.items():
            write_bytes(root / name, content)
    except OSError as error:
        log.warning("the fitted model %s could not be kept in %s: %s", record.label, root, error)


def without_models(specs: Iterable[RunSpec], store: RecordStore, root: Path) -> list[RunSpec]:
    """The runs whose record exists, but whose fitted models were not kept below a folder."""
    found = []
    for spec in specs:
        path = store.path_of(spec)
        if path is not None and not (root / path.relative_to(store.root).with_suffix("")).is_dir():
            found.append(spec)
    return found
