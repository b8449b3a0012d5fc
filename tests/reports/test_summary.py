from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT, record

from crystalbench.errors import ConfigError
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.records import RecordStore, Rows
from crystalbench.reports.files import to_csv, to_markdown
from crystalbench.reports.summary import END, START, fill_readme, to_summary

PART = Rows(train=30, valid=10, test=20, task=60, task_total=1265, task_folds=5)


def test_summary_sets_our_models_beside_published_ones_of_the_same_rows() -> None:
    whole = [record(mae=40.0 + fold, fold=fold) for fold in range(5)]
    part = [record(mae=1.0, fold=fold, data="p" * 64, rows=PART) for fold in range(5)]
    lines = to_summary(leaderboards(whole + part)).splitlines()
    assert lines[0].split(" | ")[2] == "**dummy**"
    complete, partial = lines[2], lines[3]
    assert "42.00 ± 1.41" in complete
    assert "28.76 ± 2.58 (MegNet (kgcnn v2.1.0))" in complete
    assert "57.76 ± 12.31" in complete
    assert "60 of 1,265 rows" in partial
    assert partial.count("–") == 3  # nothing published is of these rows


def test_a_file_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"page\.md: has no place"):
        fill_readme(page, [])
    assert page.read_text(encoding="utf-8") == "no markers"


def test_what_is_committed_follows_from_the_committed_records() -> None:
    """README and leaderboards hold what the records say, and every record is whole and unchanged."""
    records, problems = RecordStore(ROOT / "results" / "records").read_all()
    assert not problems
    boards = leaderboards(records)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{START}\n{to_summary(boards)}\n{END}" in readme
    assert (ROOT / "results" / "leaderboard.csv").read_text(encoding="utf-8") == to_csv(boards)
    assert (ROOT / "results" / "leaderboard.md").read_text(encoding="utf-8") == to_markdown(boards)
