from __future__ import annotations

import pandas as pd
import pytest
from helpers import record

from crystalbench.probes.capsules import CONTRASTS, REFERENCE, Capsules
from crystalbench.results import Results
from crystalbench.runs.suite import load_suite


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
    (section,) = probe.report(tables)
    assert section.heading == "matbench_phonons: differences from sen"
    assert "effect of directions" in section.lines[0]
    assert "effect of capsules" not in section.lines[0]
    assert len(section.rows) == len(rows)
