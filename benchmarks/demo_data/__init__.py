"""The generator of the demo data in CrystalBench: real physics, deterministic, without a download.

``python -m benchmarks.demo_data [--out DIR]`` writes ``demo_prototypes.parquet`` (the AFLOW prototypes of pymatgen) and
``demo_alloys.parquet`` (ordered alloys under ASE's effective-medium-theory potential) in a few minutes on one core.
"""

from __future__ import annotations
