"""Results with everything that a page can show, and the site made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import record

from crystalbench.probes import get_probe, probe_names, written_sections
from crystalbench.reports.sections import Section
from crystalbench.reports.site import Content, Facts, read_content, write_site
from crystalbench.results import Results
from crystalbench.results.record import Record, RecordedPredictions, RowCounts
from crystalbench.targets import METRICS

HOSTILE = "<script>alert(1)</script> & 'b'"
ROWS = RowCounts(train=800, valid=212, test=12, task=1265, task_total=1265, task_folds=5)


def predictions(fold: int, error: float, *, binary: bool = False) -> RecordedPredictions:
    """Twelve test rows of a fold; errors grow with the row."""
    ids = [f"mb-{fold}-{row}" for row in range(12)]
    targets = [float(row % 2) if binary else 10.0 * row + fold for row in range(12)]
    values = [0.5 + (t - 0.5) / 2 if binary else t + error * (row + 1) for row, t in enumerate(targets)]
    return RecordedPredictions(ids=ids, targets=targets, values=values)


def runs(model: str, error: float, **changes: Any) -> list[Record]:
    """Five folds, two seeds."""
    return [
        record(
            error * 6.5 + 0.1 * fold + 0.05 * seed,
            model=model,
            label=changes.pop("label", model),
            fold=fold,
            seed=seed,
            predictions=predictions(fold, error),
            rows=ROWS,
            **changes,
        )
        for fold in range(5)
        for seed in range(2)
    ]


def binary_runs(model: str) -> list[Record]:
    scores = {name: 0.8 for name, metric in METRICS.items() if "binary" in metric.kinds}
    plain: dict[str, Any] = {"metric": "rocauc", "kind": "binary", "unit": "", "scores": scores, "rows": ROWS}
    task = "matbench_mp_is_metal"
    return [
        record(task=task, model=model, label=model, fold=f, predictions=predictions(f, 0, binary=True), **plain)
        for f in range(5)
    ]


def all_records() -> list[Record]:
    part = RowCounts(train=30, valid=10, test=12, task=60, task_total=1265, task_folds=5)
    shares = RowCounts(train=80, valid=20, test=12, task=1265, task_total=1265, task_folds=5)
    return [
        *runs("dummy", 9.0),
        *runs("cgcnn", 1.0, sees="structure_and_chemistry"),
        *runs("cgcnn", 3.0, sees="structure", view="anonymous"),
        *runs("magpie_forest", 2.0, sees="composition"),
        *[
            record(40.0, model="mine.py:Bad", label=HOSTILE, fold=f, predictions=predictions(f, 6.0), rows=ROWS)
            for f in range(5)
        ],
        *[
            record(
                9.0 + f,
                model="cgcnn",
                label="cgcnn",
                fold=f,
                train_fraction=0.1,
                rows=shares,
                sees="structure_and_chemistry",
            )
            for f in range(5)
        ],
        *[record(12.0, model="cgcnn", label="cgcnn", fold=f, rows=part, data="p" * 64) for f in range(5)],
        *binary_runs("dummy"),
        *binary_runs("magpie_forest"),
    ]


SLICES = pd.DataFrame(
    [
        ("matbench_phonons", model, kind, value, 30, mae, mae - 0.5, mae + 0.5)
        for model, mean in (("cgcnn", 6.5), ("magpie_forest", 13.0))
        for kind, value, mae in (
            ("all", "all", mean),
            ("formula", "seen", mean - 2),
            ("formula", "unseen", mean + 2),
            ("element", "O", mean),
            ("element", "H", 4 * mean),
        )
    ],
    columns=["task", "model", "slice", "value", "rows", "mae", "low", "high"],
)


COMMON = {
    **dict.fromkeys(("rows", "rows_total"), 1265),
    **dict.fromkeys(("max", "max_before", "max_after", "share_beyond", "drift_per_atom", "error", "score_dummy"), 0.5),
    **dict.fromkeys(("folds", "seeds", "crystals"), 3),
    **dict.fromkeys(("constant", "undefined"), 0),
    "fold_scheme": "official",
    "view": "full",
    "metric": "mae",
    "unit": "cm⁻¹",
    "expected": "unchanged",
}
"""Values of the columns of probes that `TABLES` leaves out; others are missing."""

TABLES = {
    "information": """task,view,model,skill,low,high,mae,folds,seeds
matbench_phonons,full,cgcnn,0.9,0.85,0.95,6.5,5,1
matbench_phonons,anonymous,cgcnn,0.41,0.3,0.5,40,5,1
matbench_phonons,full,magpie_forest,0.8,,,13,1,1
""",
    "information_sources": """task,model,information,chain,skill,low,high,share
matbench_phonons,cgcnn,chemistry,elements first,0.7,0.6,0.8,0.78
matbench_phonons,cgcnn,chemistry,elements last,0.49,0.4,0.6,0.54
""",
    "invariance": """task,model,transform,drift,relative_to_error
matbench_phonons,cgcnn,atom order,1e-7,1e-8
matbench_phonons,cgcnn,0.1 Å,3.25,0.5
""",
    "descriptors": """descriptor,model,mode,r2,low,high,task,kind,folds,seeds,floor,gain,gain_low,gain_high
density,cgcnn,end_to_end,0.98,0.97,0.99,matbench_phonons,density,5,1,composition_volume,0.1,0.05,0.15
density,cgcnn,linear_probe,0.81,0.7,0.9,matbench_phonons,density,5,1,untrained,-0.2,-0.3,-0.1
c,cgcnn,linear_probe,-0.004,-0.1,0.1,matbench_phonons,cell,5,1,untrained,0.01,-0.05,0.07
c,descriptor_forest,composition_volume,0.3,,,matbench_phonons,cell,1,1,,,,
""",
    "refinement": """task,neighbours,tolerance,pairs,crystals,examples,identical,other_space_group,"""
    """rows,rows_total,fold_scheme
matbench_phonons,12,0.01,3,4,a (SiC) and b (SiC),5,2,1265,1265,official
matbench_phonons,24,0.01,0,0,,0,0,1265,1265,official
""",
    "readout": """target,label,model,readout,descriptors,mae,low,high,seeds,folds,"""
    """reduction,reduction_low,reduction_high,share,share_low,share_high,unit,rows,rows_total,fold_scheme
cv,per cell,cgcnn,mean,none,10,9,11,3,5,,,,,,,J,100,100,formula
cv,per cell,hybrid,mean,gong28,1,0.9,1.1,3,5,0.9,0.85,0.95,1,1,1,J,100,100,formula
cv,per cell,cgcnn_atom_count,mean,atom_count,1.2,1,1.4,3,5,0.88,0.8,0.95,0.977,0.96,0.99,J,100,100,formula
cv,per cell,dummy,,none,12,11,13,1,5,-0.2,-0.3,-0.1,-0.22,-0.3,-0.1,J,100,100,formula
""",
    "conformal": """task,model,method,level,slice,value,rows,coverage,low,high,width,unit
matbench_phonons,cgcnn,plain,0.9,all,all,60,0.9,0.88,0.92,31.5,cm⁻¹
matbench_phonons,cgcnn,plain,0.9,element,H,9,0.5,0.3,0.7,31.5,cm⁻¹
""",
    "calibration": f"""task,model,quantity,level,value,low,high,rows,folds,seeds,unit,data
matbench_phonons,cgcnn,coverage,0.9,0.77,0.7,0.8,60,5,2,,{"d" * 64}
matbench_phonons,cgcnn,rank_correlation,,0.49,0.4,0.6,60,5,2,,{"d" * 64}
""",
    "ceiling": f"""task,part,bound,metric,value,low,high,rows,compositions,data,model,score,unit
matbench_phonons,all,in_sample,mae,1.5,1.25,1.75,60,50,{"d" * 64},magpie_forest,13.5,cm⁻¹
""",
}


@pytest.fixture(scope="session")
def results() -> Results:
    return Results(all_records())


@pytest.fixture(scope="session")
def content(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = tmp_path_factory.mktemp("results")
    SLICES.to_csv(folder / "slices.csv", index=False)
    for name, text in TABLES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    for probe in map(get_probe, probe_names()):
        for name in probe.tables.keys() & TABLES.keys():
            table = pd.read_csv(folder / f"{name}.csv")
            more = {column: COMMON.get(column) for column in probe.tables[name] if column not in table}
            table.assign(**more).to_csv(folder / f"{name}.csv", index=False)
    formulas = {f"mb-{fold}-{row}": f"Fe{fold + 1}O{row + 2}" for fold in range(5) for row in range(12)}
    probed = written_sections(folder, probe_names()) | {
        "what colours tell": [Section("Colours & <b>shapes</b>", ["task", "red"], [["a_task", "0.5"]], ["So it is."])]
    }
    return read_content(results, folder, {"matbench_phonons": Facts(formulas)}, probed)


@pytest.fixture(scope="session")
def site(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "site"
    write_site(content, folder)
    return folder
