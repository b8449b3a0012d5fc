"""Tasks derived from others: their rows, labels, folds and data files, and the tasks of the suite `genome`."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from crystalbench.data.compositions import Compositions
from crystalbench.errors import ConfigError, DataError
from crystalbench.evaluation.pretraining import data_sets, verdict
from crystalbench.tasks import DataSources, Task, TaskSpec, get_task_spec, require_data
from crystalbench.tasks.demo import TASKS as DEMO
from crystalbench.tasks.derived import Above, DerivedTaskSpec, OutsideGap, SourceLabels, StratifiedFolds
from crystalbench.tasks.derived import crystal_systems as crystal_systems_module
from crystalbench.tasks.derived.crystal_systems import CrystalSystems
from crystalbench.tasks.derived.hull import AboveHull, energies_above_hull
from crystalbench.tasks.genome import TASKS
from crystalbench.tasks.shuffled import ShuffledTaskSpec
from crystalbench.tasks.symmetry import CRYSTAL_SYSTEMS, crystal_systems
from crystalbench.testing import check_task

HERE = DataSources(download=False)
SOURCES: dict[str, TaskSpec] = {spec.name: spec for spec in DEMO}
MODULUS, SYSTEMS, ENERGY = (SOURCES[f"demo_{name}"] for name in ("bulk_modulus", "crystal_system", "formation_energy"))
ABOVE = Above(100.0, "GPa", "bulk modulus")


def derived(source: TaskSpec, labelling: Any, rows_total: int = 0, **options: Any) -> DerivedTaskSpec:
    return DerivedTaskSpec.of("derived", source, labelling, rows_total=rows_total, **options)


def loaded(source: TaskSpec, labelling: Any, **options: Any) -> Task:
    return derived(source, labelling, **options).load(HERE)


def with_targets(task: Task, targets: Any) -> Task:
    return dataclasses.replace(task, targets=np.asarray(targets, np.float64))


# ---------------------------------------------------------------------- rows, labels, folds


def test_a_threshold_keeps_rows_ids_and_folds() -> None:
    source, task = MODULUS.load(HERE), loaded(MODULUS, ABOVE, rows_total=1168)
    assert task.name == "derived"
    assert task.target.name == "bulk modulus > 100 GPa"
    assert task.inputs.ids.tolist() == source.inputs.ids.tolist()
    np.testing.assert_array_equal(task.targets, source.targets > 100)
    assert 0 < task.targets.mean() < 1
    np.testing.assert_array_equal(task.folds, source.folds)
    assert (task.metric, task.source, task.remarks) == ("rocauc_true", source.source, ())


def test_thresholds_of_logarithms_and_of_equal_values() -> None:
    task = with_targets(MODULUS.load(DataSources(limit=4)), np.log10([84.0, 85.0, 85.001, 900.0]))
    assert Above(85.0, "GPa", "K", log10=True)(task).targets.tolist() == [0, 0, 1, 1]
    assert Above(85.0, "GPa", "K")(with_targets(task, [85, 85.1, 0, 86])).targets.tolist() == [0, 1, 0, 1]


def test_values_in_between_are_left_out_and_counted() -> None:
    task = with_targets(MODULUS.load(DataSources(limit=6)), [0.0, 1e-6, 0.02, 0.05, 0.051, 3.0])
    found = OutsideGap(1e-6, 0.05, ("metal", "insulator"))(task)
    assert found.rows.tolist() == [0, 4, 5]
    assert found.targets.tolist() == [0, 1, 1]
    assert found.remarks == ("3 of 6 rows are left out: from 1e-06 to 0.05 GPa",)


def test_the_labels_of_the_source_and_a_limit_of_the_derived_task() -> None:
    source = SOURCES["demo_dynamically_stable"]
    spec = derived(source, SourceLabels(), source.rows_total)
    task, some = spec.load(HERE), spec.load(DataSources(limit=50))
    assert task.target == source.target
    assert (len(task), len(some), some.rows_total, some.is_partial) == (source.rows_total, 50, source.rows_total, True)
    assert set(some.inputs.ids) <= set(task.inputs.ids)


def test_the_source_may_be_a_task_file(tmp_path: Path) -> None:
    (tmp_path / "oxides.csv").write_text("formula,kind\n" + "".join(f"Fe{i}O2,{'abc'[i % 3]}\n" for i in range(1, 31)))
    file = tmp_path / "oxides.toml"
    file.write_text(
        'name = "oxides"\ntable = "oxides.csv"\ncomposition = "formula"\ntarget = "kind"\nkind = "multiclass"\n'
    )
    source = get_task_spec(str(file))
    task = derived(source, SourceLabels()).load(HERE)
    assert task.target.classes == ("a", "b", "c")  # known after loading
    assert (len(task), task.source.task_file) == (30, "oxides.toml")


def test_compounds_of_some_elements_are_left_out() -> None:
    source = MODULUS.load(HERE)
    task = loaded(MODULUS, ABOVE, without_elements=("Cu", "Ag"))
    assert len(task) < len(source)
    contained = [
        bool({"Cu", "Ag"} & set(system.split("-"))) for system in source.inputs.compositions().chemical_systems()
    ]  # type: ignore[union-attr]
    assert task.inputs.ids.tolist() == source.inputs.ids[~np.array(contained)].tolist()
    assert task.remarks == (f"{sum(contained)} of 1,168 rows contain Cu or Ag and are left out",)
    assert loaded(MODULUS, ABOVE, without_elements=("Og",)).remarks == ()


def test_folds_of_their_own_are_stratified() -> None:
    task = loaded(MODULUS, ABOVE, folds=StratifiedFolds(4, seed=3))
    assert task.fold_numbers == [0, 1, 2, 3]
    shares = [task.targets[task.folds == fold].mean() for fold in range(4)]
    assert max(shares) - min(shares) < 0.01
    other = loaded(MODULUS, ABOVE, folds=StratifiedFolds(4, seed=4))
    assert not np.array_equal(task.folds, other.folds)


def test_labels_of_a_derived_task_can_be_shuffled() -> None:
    plain = loaded(MODULUS, ABOVE)
    task = ShuffledTaskSpec.of(derived(MODULUS, ABOVE)).load(HERE)
    assert task.inputs.ids.tolist() == plain.inputs.ids.tolist()
    assert task.targets.sum() == plain.targets.sum()
    assert abs(np.corrcoef(task.targets, plain.targets)[0, 1]) < 0.1


def test_nothing_left_and_too_many_rows_are_errors() -> None:
    with pytest.raises(DataError, match=r"derived: no row of demo_bulk_modulus is left \(1,168 of 1,168 rows are left"):
        loaded(MODULUS, OutsideGap(-1.0, 1e9, ("a", "b")))
    with pytest.raises(DataError, match="1,168 rows, more than the 10 that it declares"):
        loaded(MODULUS, ABOVE, rows_total=10)


# ---------------------------------------------------------------------- crystal systems


def test_crystal_systems_of_space_groups() -> None:
    numbers = np.array([0, 1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230])
    assert crystal_systems(numbers).tolist() == [-1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert len(CRYSTAL_SYSTEMS) == 7


def test_crystal_systems_are_balanced_and_right() -> None:
    source = SYSTEMS.load(HERE)
    task = loaded(SYSTEMS, CrystalSystems(2), folds=StratifiedFolds(2))
    assert np.bincount(task.targets.astype(int)).tolist() == [2] * 7
    rows = {name: row for row, name in enumerate(source.inputs.ids.tolist())}
    chosen = [rows[name] for name in task.inputs.ids.tolist()]
    assert chosen == sorted(chosen)
    np.testing.assert_array_equal(task.targets, source.targets[chosen])  # found with the same tolerance
    assert task.target.classes == CRYSTAL_SYSTEMS
    other = loaded(SYSTEMS, CrystalSystems(2, seed=1), folds=StratifiedFolds(2))
    assert set(other.inputs.ids) != set(task.inputs.ids)


def test_the_rarest_class_decides_and_families_merge_two() -> None:
    source = SYSTEMS.load(DataSources(limit=150))
    rarest = int(np.bincount(source.targets.astype(int), minlength=7).min())
    assert rarest > 0
    found = CrystalSystems(1000)(source)
    assert np.bincount(found.targets.astype(int)).tolist() == [rarest] * 7
    assert found.remarks == (f"{rarest} rows of each class instead of 1,000: triclinic crystals are rare",)
    families = CrystalSystems(1000, families=True)
    merged = families(source)
    assert families.classes == ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic")
    expected = np.array([0, 1, 2, 3, 4, 4, 5])[source.targets.astype(int)]
    np.testing.assert_array_equal(merged.targets, expected[merged.rows])


def test_what_takes_long_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = derived(SYSTEMS, CrystalSystems(2, seed=5), folds=StratifiedFolds(2))
    first = spec.load(HERE)
    monkeypatch.setattr(crystal_systems_module, "space_groups", None)
    again = spec.load(HERE)
    assert again.digest == first.digest
    assert (again.target, again.source, again.remarks) == (first.target, first.source, first.remarks)
    with pytest.raises(TypeError):  # other options are other rows
        derived(SYSTEMS, CrystalSystems(2, seed=6), folds=StratifiedFolds(2)).load(HERE)


def test_the_number_of_rows_is_that_of_the_declaration_even_if_labels_were_kept() -> None:
    assert loaded(SYSTEMS, CrystalSystems(2), rows_total=20).is_partial
    assert not loaded(SYSTEMS, CrystalSystems(2), rows_total=14).is_partial
    with pytest.raises(DataError, match="derived: has 14 rows, more than the 13 that it declares"):
        loaded(SYSTEMS, CrystalSystems(2), rows_total=13)


def test_crystal_systems_need_structures_of_every_class() -> None:
    alloys = MODULUS.load(DataSources(limit=20))
    with pytest.raises(DataError, match="demo_bulk_modulus: has no triclinic crystal among its 20 rows"):
        CrystalSystems(5)(alloys)
    formulas = dataclasses.replace(alloys, inputs=alloys.inputs.compositions())  # type: ignore[union-attr]
    with pytest.raises(DataError, match="the data of demo_bulk_modulus has compositions only; name a file"):
        CrystalSystems(5)(formulas)


# ---------------------------------------------------------------------- stability


def test_energies_above_hull_are_those_of_pymatgen() -> None:
    rng = np.random.default_rng(0)
    elements = ("Li", "Fe", "P", "O")
    formulas = list(
        dict.fromkeys(
            "".join(f"{e}{n}" for e, n in zip(elements, amounts, strict=True) if n)
            for amounts in itertools.product(range(3), repeat=4)
            if sum(amounts)
        )
    )
    chosen = [formulas[k] for k in rng.permutation(len(formulas))[:60]] + [
        "Fe2O2",
        "FeO",
        "O",
    ]  # a polymorph, an element
    energies = rng.normal(-1.0, 0.7, len(chosen))
    found = energies_above_hull(Compositions.from_formulas(chosen), energies, np.arange(len(chosen)))
    entries = [PDEntry(c := Composition(f), e * c.num_atoms) for f, e in zip(chosen, energies, strict=True)]
    hull = PhaseDiagram([*entries, *(PDEntry(Composition(e), 0.0) for e in elements)])
    expected = [hull.get_e_above_hull(entry, allow_negative=True) for entry in entries]
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-9)
    assert 0 < (found < 1e-9).sum() < len(chosen)


def test_stability_is_of_drawn_rows_and_the_hull_of_all() -> None:
    source = ENERGY.load(HERE)
    found = AboveHull(0.02, rows=60)(source)
    assert len(found.rows) == 60
    assert found.rows.tolist() == sorted(set(found.rows.tolist()))
    energies = energies_above_hull(source.inputs.compositions(), source.targets, found.rows)  # type: ignore[union-attr]
    np.testing.assert_array_equal(found.targets, energies > 0.02)
    assert 0 < found.targets.mean() < 1
    assert np.bincount(source.folds[found.rows]).min() > 3  # not the order of the folds of the source
    assert found.remarks == ()
    some = AboveHull(0.02, rows=1000)(ENERGY.load(DataSources(limit=80)))
    assert len(some.rows) == 80
    assert some.remarks == ("the hull is made of 80 of 1,168 rows: energies above it are lower bounds",)
    with pytest.raises(DataError, match=r"a hull is made of energies in eV/atom, not of targets in 'GPa'"):
        AboveHull(0.02, rows=5)(MODULUS.load(HERE))


# ---------------------------------------------------------------------- data files


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three rows of the official task of bulk moduli."""
    file = tmp_path / "part.parquet"
    columns = {
        "id": ["mb-log-kvrh-00007", "mb-log-kvrh-00002", "mb-log-kvrh-00100"],
        "log10(K_VRH)": [2.0, 1.5, 1.93],
        "lattice": [[4.2, 0, 0, 0, 4.2, 0, 0, 0, 4.2]] * 3,
        "frac_coords": [[0, 0, 0, 0.5, 0.5, 0.5]] * 3,
        "numbers": [[55, 17], [55, 35], [94, 17]],
    }
    pq.write_table(pa.table(columns), file)
    return file


@pytest.mark.parametrize("name", ["matbench_log_kvrh", "genome_bulk_modulus"])
def test_a_file_is_named_for_the_source_or_for_the_derived_task(name: str, table: Path) -> None:
    sources = DataSources(files={name: table}, download=False)
    spec = next(spec for spec in TASKS if spec.name == "genome_bulk_modulus")
    assert spec.availability(sources).here
    require_data([spec], sources)
    task = spec.load(sources)
    assert task.inputs.ids.tolist() == ["mb-log-kvrh-00002", "mb-log-kvrh-00007"]  # the third contains Pu
    assert task.targets.tolist() == [0, 1]
    assert (task.rows_total, task.is_partial, task.source.verified) == (10_885, True, "ids")
    assert task.remarks == ("1 of 3 rows contain Ac or Pu and are left out",)


def test_data_that_is_missing_or_of_another_kind_is_named(tmp_path: Path) -> None:
    nowhere = DataSources(tmp_path, download=False)
    spec = next(spec for spec in TASKS if spec.name == "genome_bulk_modulus")
    assert not spec.availability(nowhere).here
    with pytest.raises(
        DataError, match=r"(?s)genome_bulk_modulus: matbench_log_kvrh\.json\.gz is not in.*--data genome"
    ):
        require_data([spec], nowhere)
    with pytest.raises(ConfigError, match=r"the file must end in \.json\.gz or \.parquet"):
        spec.check_file(Path("x.csv"))
    with pytest.raises(DataError, match="there is no such file"):
        spec.load(DataSources(files={spec.name: tmp_path / "gone.parquet"}))


# ---------------------------------------------------------------------- the tasks of the suite


def test_the_tasks_of_the_suite_are_registered_and_derived_from_official_ones() -> None:
    names = [spec.name for spec in TASKS]
    assert len(set(names)) == len(names) == 7
    for spec in TASKS:
        assert isinstance(spec, DerivedTaskSpec)
        assert get_task_spec(spec.name) == spec
        assert spec.remote_files == spec.source.remote_files
        assert spec.license == spec.source.license
        assert 0 < spec.rows_total <= spec.source.rows_total
        assert (spec.folds is None) == (not isinstance(spec.labelling, CrystalSystems))  # official folds elsewhere


@pytest.mark.parametrize("data_set", data_sets())
def test_what_has_seen_the_labels_of_a_source_has_seen_those_of_the_derived_task(data_set: str) -> None:
    for spec in TASKS:
        assert isinstance(spec, DerivedTaskSpec)
        source, own = (verdict([data_set], name) for name in (spec.source.name, spec.name))
        if isinstance(spec.labelling, CrystalSystems):  # labels of the structure, not of the property
            assert own.flagged and not own.refused
        else:
            assert own == source


@pytest.mark.parametrize(
    "spec",
    [
        derived(MODULUS, ABOVE, 1168),
        derived(SYSTEMS, CrystalSystems(2), 14, folds=StratifiedFolds(2)),
        derived(ENERGY, AboveHull(0.02, rows=100), 100),
    ],
    ids=["threshold", "crystal systems", "stability"],
)
def test_derived_tasks_keep_the_contract(spec: DerivedTaskSpec) -> None:
    assert len(check_task(spec, HERE).passed) == 8
