"""Records of a newer version are neither counted, nor taken for damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import record

from crystalbench.results.loading import read_results
from crystalbench.results.record import FORMAT
from crystalbench.results.sealed import NewerFormatError, seal
from crystalbench.results.store import RecordStore


def test_a_newer_record_is_named_and_kept(tmp_path: Path) -> None:
    store, written = RecordStore(tmp_path / "records"), record()
    path = store.write(written)
    text = seal({**written.model_dump(mode="json"), "format": FORMAT + 1, "novel": 1})
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NewerFormatError, match=f"{path.name}: has format {FORMAT + 1}.*update CrystalBench"):
        store.find(written.spec)
    assert path.read_text(encoding="utf-8") == text
    found = read_results(store)
    assert (len(found), len(found.problems)) == (0, 1)
