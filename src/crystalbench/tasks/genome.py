"""The tasks of the suite ``genome``: what the crystal structure genome (deepKNet) was shown to predict.

All are derived from official Matbench tasks, so everybody can have their data. Thresholds and tolerances are those of
the published code (see docs/genome.md).
"""

from __future__ import annotations

from crystalbench.tasks.derived.crystal_systems import CrystalSystems
from crystalbench.tasks.derived.hull import AboveHull
from crystalbench.tasks.derived.labelling import Above, Labelling, OutsideGap, SourceLabels
from crystalbench.tasks.derived.spec import DerivedTaskSpec, StratifiedFolds
from crystalbench.tasks.matbench.spec import TASKS as MATBENCH
from crystalbench.tasks.spec import TaskSpec

PER_CLASS = 1000
HULL_ROWS = 8000

WITHOUT = ("Ac", "Pu")
"""Elements without a neutron scattering length; as in the published code, their compounds are left out."""

_SOURCES: dict[str, TaskSpec] = {spec.name: spec for spec in MATBENCH}
_SYSTEMS, _FAMILIES = CrystalSystems(PER_CLASS), CrystalSystems(PER_CLASS, families=True)


def _task(
    name: str,
    source: str,
    labelling: Labelling,
    rows_total: int,
    description: str,
    folds: StratifiedFolds | None = None,
) -> DerivedTaskSpec:
    return DerivedTaskSpec.of(
        f"genome_{name}",
        _SOURCES[f"matbench_{source}"],
        labelling,
        rows_total=rows_total,
        folds=folds,
        without_elements=WITHOUT,
        description=f"{description}, from matbench_{source}",
    )


TASKS: tuple[TaskSpec, ...] = (
    _task(
        "crystal_system",
        "mp_gap",
        _SYSTEMS,
        PER_CLASS * len(_SYSTEMS.classes),
        "crystal system (spglib, symprec 0.1 Å), 1,000 crystals of each",
        StratifiedFolds(),
    ),
    _task(
        "crystal_family",
        "mp_gap",
        _FAMILIES,
        PER_CLASS * len(_FAMILIES.classes),
        "crystal family (spglib, symprec 0.1 Å), 1,000 crystals of each",
        StratifiedFolds(),
    ),
    _task("metallicity", "mp_is_metal", SourceLabels(), 105_609, "whether a crystal is a metal"),
    _task(
        "metallicity_gap",
        "mp_gap",
        OutsideGap(1e-6, 0.05, ("metal", "insulator")),
        103_145,  # 45,728 metals and 57,417 insulators
        "metal (gap < 1e-6 eV) or insulator (gap > 0.05 eV), gaps in between left out as published",
    ),
    _task(
        "bulk_modulus",
        "log_kvrh",
        Above(85.0, "GPa", "K_VRH", log10=True),
        10_885,
        "whether the bulk modulus exceeds 85 GPa",
    ),
    _task(
        "shear_modulus",
        "log_gvrh",
        Above(34.0, "GPa", "G_VRH", log10=True),
        10_885,
        "whether the shear modulus exceeds 34 GPa",
    ),
    _task(
        "stability",
        "mp_e_form",
        AboveHull(0.02, HULL_ROWS),
        HULL_ROWS,
        "whether the energy above the hull of all rows exceeds 0.02 eV/atom, 8,000 rows",
    ),
)
"""The tasks of the suite. ``rows_total`` counts the official rows without the compounds of `WITHOUT`."""
