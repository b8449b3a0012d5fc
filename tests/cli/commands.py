"""Call commands in this process, and check how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from crystalbench.cli.app import app
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore

ENERGY = "demo_formation_energy"


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def small(*arguments: object) -> Any:
    """Run the dummy on one fold of 60 rows, with further options."""
    return call("run", "--task", ENERGY, "--limit", 60, "--fold", 0, "--results", "results", "--threads", 1, *arguments)


def only_record(folder: str = "results") -> Record:
    records, problems = RecordStore(Path(folder) / "records").read_all()
    assert problems == []
    (record,) = records
    return record


def failed(result: Any, *says: str) -> None:
    """Check that the command ended with exit code 1 and a message that contains ``says``, without a traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    for text in says:
        assert text in result.output, result.output
    assert "Traceback" not in result.output
