"""A PostgreSQL server for tests, in a temporary folder and on a free local port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 30


def server_program(name: str) -> str | None:
    """Path of a program of the server. Debian installs them outside the search path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A context that yields the URL of a new, empty database; the server is stopped at the end."""
    initdb, server = server_program("initdb"), server_program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    account = None
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL's server does not run as root, and there is no user 'postgres'")
    as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    folder = Path(tempfile.mkdtemp(prefix="crystalbench-postgres-"))  # accessible to that user, unlike pytest's folders
    process = None
    try:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        where = {"cwd": folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}, **as_user}
        made = subprocess.run(
            [initdb, "-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"],
            capture_output=True,
            text=True,
            check=False,
            **where,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port), "fsync": "off"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (folder / "log").open("w") as log:
            command = [server, "-D", str(folder / "data"), *settings]
            process = subprocess.Popen(command, stdout=log, stderr=log, **where)
        wait_until_ready(process, port, folder / "log")
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # fast shutdown: does not wait for clients
            process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import psycopg

    begun = time.monotonic()
    while True:
        assert process.poll() is None, log.read_text()
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="tester", dbname="postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() - begun < START_SECONDS, log.read_text()
            time.sleep(0.1)
        else:
            return
