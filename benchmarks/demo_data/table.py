"""The columns of the demo data, and writing rows as Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRY_DECIMALS = 8
PROPERTY_DECIMALS = 6

_GEOMETRY = [
    ("lattice", pa.list_(pa.float64())),  # 9 numbers: rows a, b, c in Å
    ("frac_coords", pa.list_(pa.float64())),  # 3 per atom, in [0, 1)
    ("numbers", pa.list_(pa.int32())),  # atomic numbers
]

PROTOTYPE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("formula", pa.string()),
        *_GEOMETRY,
        ("crystal_system", pa.string()),
        ("spg_num", pa.int32()),
    ]
)

ALLOY_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prototype", pa.string()),
        ("formula", pa.string()),
        *_GEOMETRY,
        ("formation_energy", pa.float64()),  # eV/atom
        ("bulk_modulus", pa.float64()),  # GPa
        ("heat_capacity_per_atom", pa.float64()),  # J/(mol K)
        ("heat_capacity_per_cell", pa.float64()),  # J/(mol K)
        ("internal_energy_per_atom", pa.float64()),  # kJ/mol
        ("internal_energy_per_cell", pa.float64()),  # kJ/mol
        ("dynamically_stable", pa.bool_()),
    ]
)


def rounded_geometry(lattice: np.ndarray, frac_coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lattice (3, 3) in Å and fractional coordinates (n, 3) as in the files: rounded, wrapped into [0, 1)."""
    wrapped = np.round(frac_coords % 1.0, GEOMETRY_DECIMALS) % 1.0
    return np.round(lattice, GEOMETRY_DECIMALS) + 0.0, wrapped + 0.0  # + 0.0 turns -0.0 into 0.0


def geometry_columns(lattice: np.ndarray, frac_coords: np.ndarray, numbers: np.ndarray) -> dict[str, list[Any]]:
    """Return the three geometry columns of one crystal."""
    return {
        "lattice": np.asarray(lattice, dtype=float).ravel().tolist(),
        "frac_coords": np.asarray(frac_coords, dtype=float).ravel().tolist(),
        "numbers": np.asarray(numbers, dtype=int).tolist(),
    }


def write_rows(rows: list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    """Write rows as one Parquet file; ``None`` becomes null."""
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd", compression_level=19)
