"""CrystalBench: a fair comparison of representations of crystals."""

from __future__ import annotations

__version__ = "0.1.0"
