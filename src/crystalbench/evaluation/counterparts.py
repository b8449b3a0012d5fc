"""Which published entry is the counterpart of which of our models: the same method, by its authors or by Matbench's."""

from __future__ import annotations

from collections.abc import Mapping

COUNTERPARTS: Mapping[str, str] = {
    "magpie_forest": "RF-SCM/Magpie",
    "magpie_random_forest": "RF-SCM/Magpie",
    "cgcnn": "CGCNN v2019",
    "schnet": "SchNet (kgcnn v2.1.0)",
    "dummy": "Dummy",
}
"""Published algorithm by registered name of the model."""

DUMMY = "dummy"
"""Registered name of the baseline that ignores its inputs."""
