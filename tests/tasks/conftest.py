"""Two tiny official tasks, and writers of their files."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from crystalbench.targets import Kind
from crystalbench.tasks.matbench import folds, official
from crystalbench.tasks.matbench.fingerprint import content_fingerprint
from crystalbench.tasks.matbench.official_table import OFFICIAL, OfficialTask

N = 12
METALS = ["Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al"]


def _structures() -> list[Structure]:
    return [
        Structure(Lattice.orthorhombic(3 + 0.1 * i, 4, 5), [metal, "O"], [[0, 0, 0], [0.5, 0.5, -0.25 - 0.01 * i]])
        for i, metal in enumerate(METALS)
    ]


def _rows(input_name: str) -> list[list[Any]]:
    if input_name == "structure":
        inputs: list[Any] = [structure.as_dict() for structure in _structures()]
    else:
        inputs = [f"{metal}2O{0.5 + i}" for i, metal in enumerate(METALS)]
    return [[value, 1.5 * i - 3] for i, value in enumerate(inputs)]


def _write(file: Path, rows: list[list[Any]], input_name: str, target: str = "prop (x)") -> Path:
    content = {"index": list(range(len(rows))), "columns": [input_name, target], "data": rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
    return file


@pytest.fixture
def write_rows() -> Callable[..., Path]:
    """Write rows in matminer's format: (file, rows, input column, target column)."""
    return _write


@pytest.fixture
def structures() -> list[Structure]:
    return _structures()


def _register(input_name: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfficialTask:
    rows = _rows(input_name)
    sha256 = hashlib.sha256(_write(tmp_path / "scratch.json.gz", rows, input_name).read_bytes()).hexdigest()
    formulas = [s.composition.formula for s in _structures()] if input_name == "structure" else [r[0] for r in rows]
    task = OfficialTask(
        name=name,
        n_samples=N,
        kind=Kind.REGRESSION,
        input=input_name,  # type: ignore[arg-type]
        target="prop (x)",
        unit="eV",
        sha256=sha256,
        fingerprint=content_fingerprint(formulas, [row[1] for row in rows]),
        reference="",
        license="",
    )
    digest = hashlib.sha256(folds.kfold(N, 5, folds.OFFICIAL_SEED).astype(np.int8).tobytes()).hexdigest()[:12]
    monkeypatch.setitem(OFFICIAL, name, task)
    monkeypatch.setitem(folds._DIGESTS, name, digest)
    return task


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OfficialTask]:
    """An official task of 12 crystals."""
    yield _register("structure", "matbench_tiny", tmp_path, monkeypatch)
    official.official_ids.cache_clear()
    folds.official_folds.cache_clear()


@pytest.fixture
def tiny_rows(tiny: OfficialTask) -> list[list[Any]]:
    return _rows("structure")


@pytest.fixture
def tiny_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OfficialTask]:
    """An official task of 12 compositions."""
    yield _register("composition", "matbench_formulas", tmp_path, monkeypatch)
    official.official_ids.cache_clear()
    folds.official_folds.cache_clear()


@pytest.fixture
def formula_rows(tiny_formulas: OfficialTask) -> list[list[Any]]:
    return _rows("composition")
