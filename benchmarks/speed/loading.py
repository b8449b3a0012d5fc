"""Reading a data set from the store of decoded tasks, compared with matminer and pymatgen."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from benchmarks.speed.graphs import evenly
from benchmarks.speed.mp2018 import mp2018, mp2018_file
from benchmarks.speed.phonons import NAME, phonons_file
from benchmarks.speed.rows import Measurement, Row, Settings
from crystalbench.data.crystals import Crystals
from crystalbench.tasks import DataSources, get_task_spec
from crystalbench.tasks.store import store_dir

SAMPLE = 4000


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
                shutil.rmtree(store_dir(), ignore_errors=True)
            start = time.perf_counter()
            task = spec.load(sources)
            seconds = time.perf_counter() - start
            if len(task) != spec.rows_total or not store_dir().exists():
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


@contextmanager
def _prepare_mp2018(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
    from pymatgen.core import Structure

    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, CRYSTALBENCH_CACHE=f"{name}/cache"):
        folder = Path(name)
        table = shutil.copyfile(mp2018_file(settings), folder / "mp2018.parquet")
        crystals = mp2018(table).inputs  # decodes the table and stores the arrays
        assert isinstance(crystals, Crystals)  # a task with structures
        kept = list(store_dir().iterdir())
        sample = evenly(crystals, SAMPLE)
        file = folder / "structures.json"
        file.write_text(json.dumps([structure.as_dict() for structure in sample.to_pymatgen()]), encoding="utf-8")

        def ours() -> float:
            start = time.perf_counter()
            task = mp2018(table)
            seconds = time.perf_counter() - start
            if len(task) != len(crystals) or list(store_dir().iterdir()) != kept:
                raise RuntimeError("the table was not read from its store")
            return 1000 * seconds / len(task)

        def peer() -> float:
            start = time.perf_counter()
            with file.open(encoding="utf-8") as stream:
                structures = [Structure.from_dict(entry) for entry in json.load(stream)]
            seconds = time.perf_counter() - start
            if Crystals.from_pymatgen(structures, sample.ids).digest != sample.digest:
                raise RuntimeError("the structures read are not those written")
            return 1000 * seconds / len(structures)

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
    Row(
        "load_mp2018_again",
        "ms/crystal",
        "all 36,737 crystals of mp2018 a second time: checked by hash and mapped from the store; JSON and pymatgen "
        f"Structure.from_dict, {SAMPLE:,} of them, spread evenly over all numbers of atoms",
        _prepare_mp2018,
        target=300,
    ),
)
