"""Two network namespaces as two hosts: the second has another address, and does not see the driver's files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import wait_for, write_toys

from crystalbench.results.store import RecordStore
from crystalbench.runs.executors import SerialExecutor
from crystalbench.runs.plan import Selection, make_plan
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import run_plan
from crystalbench.runs.suite import parse_suite
from crystalbench.tasks import DataSources

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

HEAD, OTHER, PORT = "10.213.76.1", "10.213.76.2", 6391


def sh(command: str) -> None:
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespaces here: {command}: {done.stderr.strip()}")


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """The names of two network namespaces with an Ethernet cable between them."""
    one, two = (f"cb{os.getpid()}{side}" for side in "ab")
    try:
        for host in (one, two):
            sh(f"ip netns add {host} && ip -n {host} link set lo up")
        sh(f"ip link add {one} netns {one} type veth peer name {two} netns {two}")
        for host, address in ((one, HEAD), (two, OTHER)):
            sh(f"ip -n {host} address add {address}/30 dev {host} && ip -n {host} link set {host} up")
        yield one, two
    finally:
        for host in (one, two):
            subprocess.run(["ip", "netns", "del", host], capture_output=True, check=False)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None,
    reason="network namespaces need Linux, root, ip and unshare",
)
def test_runs_on_another_host_without_a_folder_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    mine = tmp_path / "mine"
    mine.mkdir()
    toys = write_toys(mine)
    suite = mine / "toys.toml"
    suite.write_text(
        f"""
        tasks = ["demo_formation_energy"]
        limit = 60
        models = ["dummy", '{toys}:Shifted']
        [protocol]
        folds = [0, 1]
        """
    )
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_AUTH_MODE": "disabled",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    with two_hosts() as (one, two), tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:
        # Each host has its own files in the folder of the driver and in Ray's own folder.
        start = f"{python} -u -m ray.scripts.scripts start --block --object-store-memory 80000000 --disable-usage-stats"
        started = [
            f"ip netns exec {one} {start} --head --node-ip-address {HEAD} --port {PORT} --num-cpus 0 "
            f"--include-dashboard false --temp-dir {short}",
            f"ip netns exec {two} unshare --mount sh -c 'mount -t tmpfs none {mine} && mount -t tmpfs none {short} && "
            f"exec {start} --address {HEAD}:{PORT} --node-ip-address {OTHER} --num-cpus 2'",
        ]
        logs = [tmp_path / "one.log", tmp_path / "two.log"]
        nodes: list[subprocess.Popen[bytes]] = []
        try:
            for command, log in zip(started, logs, strict=True):
                with log.open("wb") as file:
                    nodes.append(
                        subprocess.Popen(
                            command, shell=True, env=environment, stdout=file, stderr=file, process_group=0
                        )
                    )
                wait_for(lambda log=log: b"Ray runtime started" in log.read_bytes(), 240)  # type: ignore[misc]
            options = ["--results", "results", "--engine", "ray", "--address", f"{HEAD}:{PORT}", "--keep-models"]
            done = subprocess.run(
                ["ip", "netns", "exec", one, python, "-m", "crystalbench", "run", "--suite", suite, *options],
                cwd=mine,
                env={**environment, "TMPDIR": str(mine)},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            for node in reversed(nodes):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(node.pid, 15)
                node.wait(60)
    assert done.returncode == 0, done.stdout + done.stderr
    records, problems = RecordStore(mine / "results" / "records").read_all()
    assert (len(records), problems) == (4, [])
    assert len(list((mine / "results" / "models").rglob("model.json"))) == 2  # of dummy; the toy cannot be saved
    plan = make_plan(parse_suite(suite), Selection(), DataSources(limit=60, download=False))
    with SerialExecutor(Runner()) as executor:
        expected = {record.key: record.predictions for record in run_plan(plan, None, executor).records}
    assert {record.key: record.predictions for record in records} == expected
