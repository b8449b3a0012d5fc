"""Parts of the Ray executor that need no cluster: addresses, reservations, shipping, and options."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import formulas_task
from typer.testing import CliRunner

from crystalbench import plugins
from crystalbench.cli.app import app
from crystalbench.errors import ConfigError
from crystalbench.models import get_model
from crystalbench.models.dummy import Dummy
from crystalbench.models.model import silent
from crystalbench.models.stack import CompositionStack
from crystalbench.plugins import module_of_file
from crystalbench.runs.execute import compute
from crystalbench.runs.executors import Engine, SerialExecutor, executor_for
from crystalbench.runs.executors.packing import PackingFolder
from crystalbench.runs.executors.ray import cluster, shipping
from crystalbench.runs.executors.ray.calls import Call, Calls
from crystalbench.runs.executors.ray.events import Reporter
from crystalbench.runs.executors.ray.executor import RayExecutor
from crystalbench.runs.executors.ray.node import Delivery
from crystalbench.runs.executors.ray.shipping import PluginFile, SameFile, Shipment, Shipper, check_code
from crystalbench.runs.plan import Run, Selection, plan_of_task
from crystalbench.runs.resources import Reservation, Resources
from crystalbench.runs.runner import Runner
from crystalbench.runs.suite import ModelEntry, Suite, parse_suite
from crystalbench.source_code import code_digest, local_digest


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server on a free port, which answers as the test says."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def answering(server: socket.socket, answer: bytes) -> str:
    def work() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(answer)

    threading.Thread(target=work, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_an_address_without_a_cluster_is_an_error_at_once(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    cluster._check_answers(answering(server, bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])))
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=rf"--address {address}: no Ray cluster answers .*ray start --head"):
        cluster.connect(address)
    with pytest.raises(ConfigError, match="what answers is not a Ray cluster; give the port of the head node, 6379"):
        cluster.connect(answering(server, b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(ConfigError, match=r"no Ray cluster answers .*timed out"):  # it accepts, and says nothing
        cluster.connect(f"127.0.0.1:{server.getsockname()[1]}")
    with pytest.raises(ConfigError, match="--address somewhere: write auto, host:6379 or ray://host:10001"):
        cluster.connect("somewhere")
    assert time.monotonic() - begun < 10


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"the engine ray needs ray, .*pip install 'crystalbench\[ray\]'"):
        cluster.connect()


def test_fits_count_whole_runs_of_each_node() -> None:
    node = {"CPU": 16.0, "GPU": 2.0}
    assert cluster._fits(node, 1, 0) == 16
    assert cluster._fits(node, 3, 0) == 5
    assert cluster._fits(node, 1, 0.25) == 8
    assert cluster._fits(node, 1, 0.4) == 4  # two on each GPU; none has parts of both
    assert cluster._fits(node, 1, 2) == 1
    assert cluster._fits({"memory": 1.0}, 1, 0) == 0


def test_reservations_of_suites_and_models(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        tasks = ["demo_formation_energy"]
        models = ["cgcnn", { model = "dummy", resources = { gpus = 0 } }]
        [resources]
        cpus = 2
        gpus = 0.25
        """
    )
    suite = parse_suite(file)
    cgcnn, dummy = (suite.reservation(entry) for entry in suite.entries())
    assert (cgcnn, dummy) == (Reservation(2, 0.25), Reservation(2, 0))
    resources = Resources("cpu", threads=4)
    assert (cgcnn.of(resources), cgcnn.device(resources)) == ((2, 0.25), "cuda")
    assert (dummy.of(resources), dummy.device(resources)) == ((2, 0), "cpu")
    plain = Suite(name="x", tasks=("t",)).reservation(ModelEntry(model="dummy"))
    assert plain.of(resources) == (4, 0)
    assert plain.of(Resources("cuda:0")) == (1, 1)
    file.write_text(file.read_text().replace("gpus = 0.25", "gpu = 1"))
    with pytest.raises(ConfigError, match=r"resources\.gpu: .*Did you mean 'gpus'"):
        parse_suite(file)


PLUGIN = """
from dataclasses import dataclass
from helping import VALUE
from crystalbench.models import Model, Needs

@dataclass
class Mine(Model):
    needs = Needs.COMPOSITION
    value: float = VALUE
    def fit(self, train, valid): return self
    def predict(self, samples): raise NotImplementedError
"""


def test_a_file_that_a_node_does_not_see_is_copied_with_the_modules_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.py").write_text(PLUGIN)
    (here / "helping.py").write_text("VALUE = 7.0\n")
    (here / "other.py").write_text("raise RuntimeError\n")
    original = get_model(f"{here}/mine.py:Mine")
    digests = local_digest(original), code_digest(original)
    plugin = PluginFile.of(here / "mine.py")
    assert set(plugin.sources) == {"mine.py", "helping.py"}
    elsewhere = PluginFile(
        tmp_path / "elsewhere" / "mine.py", module_of_file(tmp_path / "elsewhere/mine.py"), plugin.sources
    )
    elsewhere.make_importable()
    copied = get_model(f"{tmp_path}/elsewhere/mine.py:Mine")
    assert copied is not original
    assert copied().configuration() == {"value": 7.0}
    assert (local_digest(copied), code_digest(copied)) == digests


@pytest.fixture
def stacked() -> Run:
    """A run of a stack."""
    selection = Selection(folds=(0,), parameters={"members": "dummy + magpie_forest(trees=3)"})
    models = [(ModelEntry(model="composition_stack"), CompositionStack)]
    return plan_of_task(formulas_task(), models, Suite(name="s", tasks=("formulas",)), selection).runs[0]


def test_a_node_with_other_code_for_a_member_of_a_stack_is_refused(
    stacked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PackingFolder()
    try:
        shipment = Shipper(folder, None).ship(stacked, "cpu")
    finally:
        folder.close()
    check_code(shipment, stacked, "n1")
    monkeypatch.setattr(shipping, "code_digest", lambda *classes: "" if Dummy in classes else code_digest(*classes))
    with pytest.raises(ConfigError, match="node n1 has other code for CompositionStack or Dummy or MagpieForest than"):
        check_code(shipment, stacked, "n1")


def test_the_code_of_a_stack_that_was_sent_itself_has_that_of_its_members(stacked: Run) -> None:
    computed = compute(stacked.spec, stacked.label, stacked.model, stacked.task, Resources())
    there = replace(computed, record=computed.record.model_copy(update={"code": "", "model_source": ""}))
    shipment = Shipment.__new__(Shipment)
    object.__setattr__(shipment, "code", "")
    kept = RayExecutor.__new__(RayExecutor)._kept(stacked, shipment, Delivery(there))
    assert kept.record == computed.record
    assert kept.record.code == code_digest(CompositionStack, Dummy, get_model("magpie_forest"))


def test_a_file_is_the_same_only_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    same = SameFile.of(file)
    assert same.is_seen()
    file.rename(tmp_path / "moved")
    assert not same.is_seen()
    file.write_text("a")
    assert not same.is_seen()


def test_reports_are_rare_except_of_phases_and_the_end() -> None:
    sent: list[tuple[Any, ...]] = []

    class Put:
        @staticmethod
        def remote(event: tuple[Any, ...]) -> None:
            sent.append(event)

    class Mailbox:
        put = Put

    report = Reporter(Mailbox, 5)
    for done in range(101):
        report(done, 100, phase="fitting")
    report(0, 9, phase="predicting")
    assert [event[:3] for event in sent] == [(5, 0, 100), (5, 100, 100), (5, 0, 9)]


def test_a_call_may_begin_while_events_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(Calls, "_work", lambda self: None)
    monkeypatch.setattr(ray, "wait", lambda references, **options: ([], references))
    calls = Calls(None)

    def call(number: int) -> Call:
        return Call("a run", number, lambda: number, lambda again: None, silent)

    class Beginning(Call):
        """Reading its number lets another thread begin a call, as it may happen at any time."""

        def __getattribute__(self, name: str) -> Any:
            if name == "number" and len(calls._calls) == 2:
                thread = threading.Thread(target=calls.begin, args=(call(3),))
                thread.start()
                thread.join(10)
            return super().__getattribute__(name)

    passed: list[dict[int, Call]] = []

    class Events:
        def pass_on(self, known: dict[int, Call], *, now: bool) -> None:
            passed.append(known)

    calls._calls = {1: Beginning("a run", 1, lambda: 1, lambda again: None, silent), 2: call(2)}
    calls._take([1, 2], Events())  # type: ignore[arg-type]
    assert list(passed[0]) == [1, 2] and set(calls._calls) == {1, 2, 3}


def test_a_task_is_stored_once_unless_it_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    stored: list[str] = []
    monkeypatch.setattr(ray, "put", stored.append)
    executor, run = RayExecutor.__new__(RayExecutor), Run.__new__(Run)
    object.__setattr__(run, "task", "the task")
    executor._stored = {}
    for again in (False, False, True, False):
        executor._store(Path("a.task"), run, again=again)
    assert stored == ["the task"] * 2


def test_engines_and_their_options() -> None:
    assert isinstance(executor_for(Runner(), 1, Engine("serial")), SerialExecutor)
    with pytest.raises(ConfigError, match="engine 'slurm': there is none; choose one of serial, processes, ray"):
        Engine("slurm")
    with pytest.raises(ConfigError, match="--gpus-per-run 1 is for a Ray cluster: add --engine ray"):
        Engine("processes", reserves=Reservation(gpus=1))
    with pytest.raises(ConfigError, match="--workers 3: the engine serial has one"):
        Engine("serial").workers(3)
    result = CliRunner().invoke(app, ["run", "--address", "auto"])
    assert result.exit_code == 1
    assert "--address auto is for a Ray cluster: add --engine ray" in " ".join(result.output.split())
