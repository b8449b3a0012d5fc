"""Small tasks that are part of the package, to try everything in seconds and without a download.

The property of ``demo_crystal_system`` is the crystal system of the AFLOW prototypes in pymatgen. Those of the other
tasks are properties of binary metal alloys, computed with an effective-medium potential: exact, smooth functions of the
crystal, not measurements. The thermodynamic properties exist for dynamically stable crystals only, in two forms: per
atom (intensive) and per primitive cell (extensive).

There are five folds, shuffled with seed 0 over the rows of the task, and stratified by class for classification. A
class with fewer rows than folds (the triclinic prototypes) is missing from some test parts. Alloys with the same
formula may be in different folds, as in Matbench.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import io
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.columns import crystals_of_columns
from crystalbench.tasks.folds import kfold, stratified_kfold
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.spec import Availability, TaskSpec
from crystalbench.tasks.task import Source, Task

N_FOLDS, SEED = 5, 0
PROTOTYPES, ALLOYS = "demo_prototypes.parquet", "demo_alloys.parquet"
CRYSTAL_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
"""Classes of ``demo_crystal_system``, from low to high symmetry."""

_PROTOTYPES_REFERENCE = "Mehl et al., Comput. Mater. Sci. 136, S1 (2017), doi:10.1016/j.commatsci.2017.01.017"
_ALLOYS_REFERENCE = "computed by benchmarks/demo_data with ASE's effective-medium potential (EMT)"


@dataclass(frozen=True)
class DemoTaskSpec(TaskSpec):
    """A task whose data is part of the package.

    Attributes:
        file: name of the data file.
    """

    file: str = ""

    def load(self, sources: DataSources) -> Task:
        """Read the task.

        Raises:
            DataError: the file is missing from the installation.
        """
        content = _content(self.file)
        columns = ["id", "lattice", "frac_coords", "numbers", self.target.name]
        table = pq.read_table(io.BytesIO(content), columns=columns)
        table = table.filter(pc.is_valid(table[self.target.name]))
        ids = np.asarray(table["id"].to_pylist(), dtype=np.str_)
        crystals = crystals_of_columns(table["lattice"], table["frac_coords"], table["numbers"], ids)
        targets = self._encoded(table[self.target.name].to_pylist())
        if self.target.kind is Kind.REGRESSION:
            folds = kfold(len(ids), N_FOLDS, SEED)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # about a class with fewer rows than folds
                folds = stratified_kfold(targets, N_FOLDS, SEED)
        source = Source(self.file, hashlib.sha256(content).hexdigest(), "package")
        task = Task(self.name, self.target, self.metric, crystals, targets, folds.astype(np.int16), len(ids), source)
        return task.limited(sources.limit)

    def availability(self, sources: DataSources) -> Availability:
        """The data is always available."""
        return Availability(True, self.rows_total, "part of CrystalBench")

    def _encoded(self, values: list[object]) -> npt.NDArray[np.float64]:
        if self.target.kind is Kind.MULTICLASS:
            number = {label: i for i, label in enumerate(self.target.classes)}
            return np.array([number[str(value)] for value in values], np.float64)
        return np.array(values, np.float64)


@functools.cache
def _content(file: str) -> bytes:
    try:
        return (importlib.resources.files("crystalbench.tasks") / "data" / file).read_bytes()
    except OSError as error:
        raise DataError(f"{file}: is missing from this installation of CrystalBench; reinstall it") from error


@functools.cache
def _rows(file: str, column: str) -> int:
    """Number of rows with a value in a column, from the statistics in the file."""
    metadata = pq.read_metadata(io.BytesIO(_content(file)))
    leaf = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == column)
    groups = [metadata.row_group(i).column(leaf) for i in range(metadata.num_row_groups)]
    return int(metadata.num_rows - sum(group.statistics.null_count for group in groups))


def _alloys(column: str, unit: str, description: str) -> DemoTaskSpec:
    return DemoTaskSpec(
        name=f"demo_{column}",
        target=Target(column, Kind.REGRESSION, unit),
        metric="mae",
        has_structures=True,
        rows_total=_rows(ALLOYS, column),
        description=description,
        license="MIT (part of CrystalBench)",
        reference=_ALLOYS_REFERENCE,
        file=ALLOYS,
    )


TASKS: tuple[TaskSpec, ...] = (
    DemoTaskSpec(
        name="demo_crystal_system",
        target=Target("crystal_system", Kind.MULTICLASS, classes=CRYSTAL_SYSTEMS),
        metric="balanced_accuracy",
        has_structures=True,
        rows_total=_rows(PROTOTYPES, "crystal_system"),
        description="crystal system of AFLOW prototypes (spglib, symprec 0.1 Å)",
        license="MIT (pymatgen)",
        reference=_PROTOTYPES_REFERENCE,
        file=PROTOTYPES,
    ),
    _alloys("formation_energy", "eV/atom", "formation energy of relaxed alloys (EMT)"),
    _alloys("bulk_modulus", "GPa", "bulk modulus of relaxed alloys (EMT)"),
    _alloys("heat_capacity_per_atom", "J/(mol K)", "vibrational heat capacity of stable alloys, intensive (EMT)"),
    _alloys("heat_capacity_per_cell", "J/(mol K)", "vibrational heat capacity of stable alloys, extensive (EMT)"),
    _alloys("internal_energy_per_atom", "kJ/mol", "vibrational internal energy of stable alloys, intensive (EMT)"),
    _alloys("internal_energy_per_cell", "kJ/mol", "vibrational internal energy of stable alloys, extensive (EMT)"),
    DemoTaskSpec(
        name="demo_dynamically_stable",
        target=Target("dynamically_stable", Kind.BINARY, classes=("false", "true")),
        metric="rocauc_true",
        has_structures=True,
        rows_total=_rows(ALLOYS, "dynamically_stable"),
        description="whether a relaxed alloy has no imaginary phonon (EMT)",
        license="MIT (part of CrystalBench)",
        reference=_ALLOYS_REFERENCE,
        file=ALLOYS,
    ),
)
"""The demo tasks."""
