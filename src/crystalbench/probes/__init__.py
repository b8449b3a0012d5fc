"""Probes: what models know, asked by runs that hide something, or by questions to fitted models.

A probe is a class derived from `Probe`: a plan of runs, optionally questions to the fitted models of these runs, and an
evaluation that makes tables of the results. `crystalbench probe NAME` runs it on any task and model.
"""

from __future__ import annotations

from crystalbench.probes.fitted import Fitted
from crystalbench.probes.probe import Probe
from crystalbench.probes.registry import get_probe, probe_names
from crystalbench.probes.running import Probed, check_kinds, run_probe, tables_of, written_sections

__all__ = [
    "Fitted",
    "Probe",
    "Probed",
    "check_kinds",
    "get_probe",
    "probe_names",
    "run_probe",
    "tables_of",
    "written_sections",
]
