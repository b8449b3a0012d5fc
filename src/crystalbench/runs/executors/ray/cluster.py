"""Connecting to a Ray cluster, or starting one on this machine; what its nodes have room for."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crystalbench.errors import ConfigError
from crystalbench.plugins import require_extra
from crystalbench.representations.processes import usable_cores

CONNECT_SECONDS = 5.0
"""How long the other side may take to answer. Ray itself would try for two minutes, in silence."""

STORE_BYTES = 200_000_000
"""Object store of a cluster on this machine. It holds records on their way; tasks are read from a file."""

CLIENT = "ray://"
_ADDRESS = "RAY_ADDRESS"

# The beginning of a connection as HTTP/2 defines it (RFC 9113, 3.4): a fixed text, and an empty SETTINGS frame.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


@dataclass(frozen=True)
class Connection:
    """A connection of this process to a cluster.

    Attributes:
        own: whether it is closed when the executor is; not if the user's program had connected before.
    """

    own: bool

    def close(self) -> None:
        """Disconnect; a cluster that was started on this machine for the connection ends."""
        import ray

        if self.own:
            with _kept_signals():
                ray.shutdown()


def connect(address: str | None = None, cpus: float | None = None) -> Connection:
    """Connect to a cluster. If this process is connected already, that connection is used.

    Args:
        address: ``auto`` for the cluster that this machine belongs to, ``host:6379`` of its head node, or
            ``ray://host:10001`` from outside; None for the one in ``RAY_ADDRESS`` or, without it, one on this machine.
        cpus: CPUs of a cluster that is started on this machine; all usable cores by default.

    Raises:
        ConfigError: Ray is not installed, no cluster answers at the address, or its versions of Ray or Python differ.
    """
    require_extra("ray", "the engine ray")
    import ray

    if ray.is_initialized():
        return Connection(own=False)
    address = address or os.environ.get(_ADDRESS) or None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if address is None or address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would be sent to the developers of Ray
        os.environ.setdefault("RAY_worker_niceness", "0")  # as with the other engines; Ray's default is 15
        options |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
        options |= {"num_cpus": max(1, int(cpus or usable_cores()))}
        address = "local"
    else:
        _check_answers(address)
    try:
        with _kept_signals():
            ray.init(address=address, **options)
    except (Exception, SystemExit) as error:
        hint = "" if address == "local" else "; if the cluster asks for a token, set RAY_AUTH_MODE=token"
        raise ConfigError(f"--address {address}: {_first_line(error)}{hint}") from error
    return Connection(own=True)


def room_of(cpus: float, gpus: float) -> int:
    """How many runs fit the nodes of the cluster at the same time.

    Args:
        cpus: CPUs of a run.
        gpus: GPUs of a run.
    """
    return sum(_fits(resources, cpus, gpus) for resources in _nodes())


def described_nodes() -> str:
    """The nodes for people: ``2 nodes: 16 CPUs, 16 CPUs and 1 GPU``."""
    nodes = [
        " and ".join(
            f"{resources[unit]:g} {unit}{'s' * (resources[unit] != 1)}"
            for unit in ("CPU", "GPU")
            if resources.get(unit)
        )
        or "no CPU"
        for resources in _nodes()
    ]
    return f"{len(nodes)} node{'s' * (len(nodes) != 1)}: {', '.join(nodes)}"


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _fits(resources: dict[str, float], cpus: float, gpus: float) -> int:
    counts = [int(resources.get("CPU", 0) / cpus + 1e-9)]
    if gpus >= 1:
        counts.append(int(resources.get("GPU", 0) / gpus + 1e-9))
    elif gpus:  # a run cannot have parts of several GPUs
        counts.append(int(resources.get("GPU", 0)) * int(1 / gpus + 1e-9))
    return min(counts)


def _check_answers(address: str) -> None:
    """Check that something speaks HTTP/2 at an address, as all servers of Ray do.

    Raises:
        ConfigError: there is no answer or another one, or the address has another form.
    """
    if address.startswith(CLIENT):
        _require_client(address)
    place = _found_on_this_machine() if address == "auto" else address.removeprefix(CLIENT)
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"--address {address}: write auto, host:6379 or {CLIENT}host:10001")
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    where = place if place == address else f"{address} ({place})"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.sendall(_PREFACE)
            answer = connection.recv(9)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ConfigError(
            f"--address {where}: no Ray cluster answers ({reason}); start one with ray start --head, or leave "
            "--address out to use this machine"
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise ConfigError(
            f"--address {where}: what answers is not a Ray cluster; give the port of the head node, 6379 by default, "
            f"or {CLIENT}host:10001"
        )


def _require_client(address: str) -> None:
    """Check that what connections from outside need is installed.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("grpc") is None:
        raise ConfigError(f"--address {address}: needs Ray's client; run: pip install 'ray[client]'")


def _found_on_this_machine() -> str:
    """The address of the cluster that this machine belongs to.

    Raises:
        ConfigError: there is none, or there are several.
    """
    from ray._private import services  # the public functions connect at once

    try:
        return str(services.canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError as error:
        reason = "several run" if "multiple" in str(error) else "none runs"
        raise ConfigError(
            f"--address auto: {reason} on this machine; give the address, or leave --address out to start one here"
        ) from error


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _first_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "what answers is not the head node of a Ray cluster; its port is 6379 by default"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
