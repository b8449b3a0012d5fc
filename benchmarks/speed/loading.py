"""Reading a data set: the decode-once store against matminer."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from benchmarks.speed.phonons import NAME, phonons_file
from benchmarks.speed.rows import Measurement, Row, Settings
from crystalbench.tasks import DataSources, get_task_spec


@contextmanager
def _prepare(settings: Settings, *, again: bool) -> Iterator[tuple[Measurement, Measurement]]:
    from matminer.datasets import load_dataset

    spec = get_task_spec(NAME)
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, CRYSTALBENCH_CACHE=f"{name}/cache"):
        folder = Path(name)
        shutil.copyfile(phonons_file(settings), folder / f"{NAME}.json.gz")
        sources = DataSources(data_dir=folder, download=False)

        def ours() -> float:
            if not again:
                shutil.rmtree(folder / ".crystalbench", ignore_errors=True)
            start = time.perf_counter()
            task = spec.load(sources)
            seconds = time.perf_counter() - start
            if len(task) != spec.rows_total or not (folder / ".crystalbench").exists():
                raise RuntimeError(f"{len(task)} rows were read, or they were not stored")
            return seconds

        def peer() -> float:
            start = time.perf_counter()
            table = load_dataset(NAME, data_home=str(folder), download_if_missing=False)
            seconds = time.perf_counter() - start
            if len(table) != spec.rows_total:
                raise RuntimeError(f"matminer read {len(table)} rows")
            return seconds

        yield ours, peer


ROWS = (
    Row(
        "load_phonons_first",
        "s",
        f"{NAME} from its file: decoded into flat arrays, checked and stored; matminer load_dataset",
        lambda settings: _prepare(settings, again=False),
    ),
    Row(
        "load_phonons_again",
        "s",
        f"{NAME} a second time: checked by hash and mapped from the store; matminer load_dataset",
        lambda settings: _prepare(settings, again=True),
    ),
)
