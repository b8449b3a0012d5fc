from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import random_crystals, record

from crystalbench.data.crystals import concatenate
from crystalbench.data.views import get_view
from crystalbench.errors import ConfigError
from crystalbench.evaluation.capsule_readings import READING_COLUMNS
from crystalbench.evaluation.factorial import VARIANT_COLUMNS
from crystalbench.probes import run_probe
from crystalbench.probes.capsules import CONTRASTS, KEEP_ATOMS, REFERENCE, Capsules
from crystalbench.results import Results
from crystalbench.runs.plan import Plan, Selection
from crystalbench.runs.suite import Suite, load_suite
from crystalbench.tasks import DataSources
from crystalbench.testing.crystals import known_structures


def planted() -> Results:
    """Directions are worth 5, whatever the pooling; capsules nothing."""
    labels = [name for contrast in CONTRASTS[:1] for name in (*contrast.plus, *contrast.minus)]
    records = []
    for number, label in enumerate(labels):
        for fold in range(5):
            noise = 0.1 * ((number * 7 + fold * 3) % 5 - 2)
            mae = 30 + fold + 5 * label.endswith("_without_directions") + noise
            records.append(record(mae, model="sen", label=label, fold=fold, parameters={"variant": number}))
    return Results(records)


def test_the_labels_are_those_of_the_suite() -> None:
    names = {entry.name for entry in load_suite("capsules").entries()} - {"dummy"}
    assert names == {name for contrast in CONTRASTS for name in (*contrast.plus, *contrast.minus)}
    assert REFERENCE in names


def test_planted_effects_are_found() -> None:
    probe = Capsules()
    tables = probe.evaluate(planted(), pd.DataFrame())
    rows = tables["capsules"].set_index("variant")
    assert rows.loc["effect of directions", "difference"] == pytest.approx(-5, abs=0.1)
    assert rows.loc["effect of directions", "p_holm"] < 0.001
    assert rows.loc["effect of capsules", "p_holm"] > 0.05
    assert tables["capsule_readings"].empty
    (section,) = probe.report(tables)
    assert section.heading == "matbench_phonons: differences from sen"
    assert "effect of directions" in section.lines[0]
    assert "effect of capsules" not in section.lines[0]
    assert len(section.rows) == len(rows)


def test_capsules_of_a_network_are_read_and_models_without_are_passed_over(tmp_path: Path) -> None:
    probe = Capsules()
    entries = ("dummy", "sen", {"model": "sen", "label": "mean", "parameters": {"pooling": "mean"}})
    suite = Suite(name="s", tasks=("demo_bulk_modulus",), models=entries)
    quick = Selection(folds=(0,), parameters={"epochs": 1, "width": 8, "channels": 2, "layers": 1, "capsules": 3})
    probed = run_probe("capsules", probe.plan(suite, quick, DataSources(limit=60)), tmp_path, workers=1)
    readings = probed.tables["capsule_readings"]
    assert set(readings["model"]) == {"sen"}
    values = readings.set_index("quantity")["value"]
    assert 0 < values["entropy"] <= 1
    assert values["coordination_over_permuted"] == values["coordination"] - values["coordination_permuted"]
    assert values["largest_deletion"] >= values["deletion"] != 0
    section = probe.report(probed.tables)[-1]
    assert section.heading == "demo_bulk_modulus: what capsules say about atoms"
    assert section.lines == ["sen: read beyond the element and the controls: nothing."]  # one fold has no interval


def planned(models: tuple[str | dict[str, Any], ...], task: str = "demo_bulk_modulus", **parameters: Any) -> Plan:
    suite, selection = Suite(name="s", tasks=(task,), models=models), Selection(folds=(0,), parameters=parameters)
    return Capsules().plan(suite, selection, DataSources(limit=60, download=False))


def test_models_without_capsules_are_refused_or_noted() -> None:
    with pytest.raises(
        ConfigError, match=r"none of these models has capsules: dummy, cgcnn; choose sen, hybrid_sen or"
    ):
        planned(("dummy", "cgcnn"))
    with pytest.raises(ConfigError, match="none of these models has capsules: sen; choose"):
        planned(("sen",), pooling="mean")
    assert planned(("dummy", "sen", "cgcnn")).notes == ["without capsules, so that nothing is read from them: cgcnn"]
    other = {"model": "sen", "label": "mine"}
    assert planned((other,)).notes == ["differences are from sen, which is not among the models: scores only"]
    assert planned(("dummy", "sen")).notes == []


def test_tasks_without_structures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("alloys.csv").write_text("f,y\n" + "".join(f"Fe{i}O2,{i}\n" for i in range(1, 21)))
    Path("alloys.toml").write_text(
        'name = "alloys"\ntable = "alloys.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
    )
    for models in (("dummy", "sen"), ("sen",)):
        with pytest.raises(
            ConfigError,
            match=r"probe capsules: needs structures, and these tasks have .* alloys; choose .* of .*matbench_jdft2d",
        ) as error:
            planned(models, "alloys.toml")
        assert "matbench_steels" not in str(error.value)


def test_nothing_is_read_under_views_that_change_the_atoms() -> None:
    suite = Suite(name="s", tasks=("demo_bulk_modulus",), models=("sen",))
    views = ("full", "anonymous+unit_density", "no_periodicity", "anonymous+supercell")
    plan = Capsules().plan(suite, Selection(folds=(0,), views=views), DataSources(limit=60, download=False))
    asked = [run.spec.view for run in plan.runs if Capsules().asks_models_of(run)]
    assert asked == ["full", "anonymous+unit_density"]
    (note,) = plan.notes
    assert note.startswith("these views may change the list of atoms") and note.endswith(
        "read: no_periodicity, anonymous+supercell"
    )


def test_views_under_which_capsules_are_read_keep_the_atoms() -> None:
    crystals = concatenate([known_structures(), random_crystals(5, 6)])
    for name in KEEP_ATOMS:
        seen = get_view(name)(crystals)
        assert np.array_equal(seen.offsets, crystals.offsets)
        apart = seen.frac_coords - crystals.frac_coords
        apart = (apart - np.rint(apart))[:, None] @ crystals.lattices[crystals.owners]
        assert np.linalg.norm(apart, axis=-1).max() < 0.5


def test_what_is_read_has_to_beat_all_controls() -> None:
    def rows(over_permuted: float) -> pd.DataFrame:
        gains = {"coordination": 0.2, "coordination_over_untrained": 0.1, "coordination_over_permuted": over_permuted}
        return pd.DataFrame(
            [("t", "sen", "full", name, v, v - 0.05, v + 0.05, 5, 1, 9) for name, v in gains.items()],
            columns=list(READING_COLUMNS),
        )

    variants = pd.DataFrame(columns=list(VARIANT_COLUMNS))
    (read,) = Capsules().report({"capsules": variants, "capsule_readings": rows(0.1)})
    assert read.lines == ["sen: read beyond the element and the controls: coordination."]
    assert list(map(str, read.rows[0])) == ["coordination", "0.20 [0.15, 0.25]"]
    (unread,) = Capsules().report({"capsules": variants, "capsule_readings": rows(0.04)})
    assert unread.lines == ["sen: read beyond the element and the controls: nothing."]
