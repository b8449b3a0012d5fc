"""Tables with some rows of an official task, and tasks that are loaded from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pymatgen.core import Structure

from crystalbench.tasks import DataSources, Task
from crystalbench.tasks.matbench.official import OfficialTask
from crystalbench.tasks.matbench.spec import MatbenchTaskSpec


def load(task: OfficialTask, file: Path, **more: Any) -> Task:
    return MatbenchTaskSpec.of(task).load(DataSources(files={task.name: file}, download=False, **more))


def table_of(structures: list[Structure], ids: list[str | None], **columns: list[Any]) -> dict[str, Any]:
    return {
        "id": ids,
        "lattice": [s.lattice.matrix.ravel().tolist() for s in structures],
        "frac_coords": [s.frac_coords.ravel().tolist() for s in structures],
        "numbers": [list(s.atomic_numbers) for s in structures],
        **columns,
    }


def write(tmp_path: Path, table: dict[str, Any]) -> Path:
    pq.write_table(pa.table(table), tmp_path / "part.parquet")
    return tmp_path / "part.parquet"
