"""Probes by name.

A package registers a probe with an entry point of the group ``crystalbench.probes``, a class derived from `Probe`::

    [project.entry-points."crystalbench.probes"]
    mine = "my_package.my_probe:MyProbe"
"""

from __future__ import annotations

import inspect

from crystalbench import plugins
from crystalbench.errors import ConfigError
from crystalbench.probes.probe import Probe

GROUP = "crystalbench.probes"


def probe_names() -> list[str]:
    """Names of all registered probes, sorted."""
    return sorted(plugins.registered(GROUP))


def get_probe(name: str) -> Probe:
    """Find a probe by its registered name, or by ``package.module:Class`` or ``path/to/file.py:Class``.

    Raises:
        UnknownNameError: no probe is registered under this name.
        ConfigError: the location cannot be imported, or the object is not a probe.
    """
    found = plugins.load(GROUP, "probe", name)
    if not (inspect.isclass(found) and issubclass(found, Probe) and not inspect.isabstract(found)):
        raise ConfigError(f"probe {name!r} is {found!r}, not a subclass of Probe that implements evaluate")
    try:
        return found()
    except TypeError as error:
        raise ConfigError(f"probe {name!r}: it must be made without arguments ({error})") from error
