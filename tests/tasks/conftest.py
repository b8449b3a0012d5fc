"""Two tiny official tasks, writers of their files, and a local server to download files from."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pooch
import pytest
from pymatgen.core import Lattice, Structure

from crystalbench.targets import Kind
from crystalbench.tasks.matbench import folds, official
from crystalbench.tasks.matbench.fingerprint import content_fingerprint
from crystalbench.tasks.matbench.official_table import OFFICIAL, OfficialTask

N = 12
METALS = ["Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al"]


def _structures() -> list[Structure]:
    return [
        Structure(Lattice.orthorhombic(3 + 0.1 * i, 4, 5), [metal, "O"], [[0, 0, 0], [0.5, 0.5, -0.25 - 0.01 * i]])
        for i, metal in enumerate(METALS)
    ]


def _rows(input_name: str) -> list[list[Any]]:
    if input_name == "structure":
        inputs: list[Any] = [structure.as_dict() for structure in _structures()]
    else:
        inputs = [f"{metal}2O{0.5 + i}" for i, metal in enumerate(METALS)]
    return [[value, 1.5 * i - 3] for i, value in enumerate(inputs)]


def _write(file: Path, rows: list[list[Any]], input_name: str, target: str = "prop (x)") -> Path:
    content = {"index": list(range(len(rows))), "columns": [input_name, target], "data": rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
    return file


@pytest.fixture
def write_rows() -> Callable[..., Path]:
    """Write rows in matminer's format: (file, rows, input column, target column)."""
    return _write


@pytest.fixture
def structures() -> list[Structure]:
    return _structures()


def _register(input_name: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfficialTask:
    rows = _rows(input_name)
    sha256 = hashlib.sha256(_write(tmp_path / "scratch.json.gz", rows, input_name).read_bytes()).hexdigest()
    formulas = [s.composition.formula for s in _structures()] if input_name == "structure" else [r[0] for r in rows]
    task = OfficialTask(
        name=name,
        n_samples=N,
        kind=Kind.REGRESSION,
        input=input_name,  # type: ignore[arg-type]
        target="prop (x)",
        unit="eV",
        sha256=sha256,
        fingerprint=content_fingerprint(formulas, [row[1] for row in rows]),
        reference="",
        license="",
    )
    digest = hashlib.sha256(folds.kfold(N, 5, folds.OFFICIAL_SEED).astype(np.int8).tobytes()).hexdigest()[:12]
    monkeypatch.setitem(OFFICIAL, name, task)
    monkeypatch.setitem(folds._DIGESTS, name, digest)
    return task


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OfficialTask]:
    """An official task of 12 crystals."""
    yield _register("structure", "matbench_tiny", tmp_path, monkeypatch)
    official.official_ids.cache_clear()
    folds.official_folds.cache_clear()


@pytest.fixture
def tiny_rows(tiny: OfficialTask) -> list[list[Any]]:
    return _rows("structure")


@pytest.fixture
def tiny_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OfficialTask]:
    """An official task of 12 compositions."""
    yield _register("composition", "matbench_formulas", tmp_path, monkeypatch)
    official.official_ids.cache_clear()
    folds.official_folds.cache_clear()


@pytest.fixture
def formula_rows(tiny_formulas: OfficialTask) -> list[list[Any]]:
    return _rows("composition")


# ---------------------------------------------------------------------- downloads


class Server:
    """A server that answers each request as `answers` says.

    An answer is an HTTP status, a slice of the content, a number of seconds (float) after which all of the content is
    sent, or None for all of it at once.

    Attributes:
        content: what it serves.
        answers: one entry per request; once they are used up, all content.
        requests: number of requests.
        known_length: whether answers have a Content-Length.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.answers: list[int | float | slice | None] = []
        self.requests = 0
        self.known_length = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                answer = outer.answers.pop(0) if outer.answers else None
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                self.send_response(200)
                if outer.known_length:
                    self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                if isinstance(answer, float):
                    time.sleep(answer)
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(outer.content[answer] if isinstance(answer, slice) else outer.content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def sha256(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def url(self, name: str) -> str:
        """The address of a file with this name."""
        return f"http://127.0.0.1:{self.http.server_port}/{name}"

    def close(self) -> None:
        """Stop the server."""
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with 2 MB of data; pooch does not pause between its attempts."""
    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda _: None))
    server = Server(bytes(range(256)) * 9000)
    yield server
    server.close()
