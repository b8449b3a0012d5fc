"""Runs on a Ray cluster: one machine, or many that need not share a folder.

`executor` submits runs, computes lost ones again and conducts studies; `cluster` connects; `shipping` packs tasks and
files of plug-ins; `node` is what happens on a node; `events` are its reports on progress. Only here is Ray imported,
and only when it is used.
"""

from __future__ import annotations

from crystalbench.runs.executors.ray.executor import RayExecutor

__all__ = ["RayExecutor"]
