"""Tasks: properties to predict, with their data, official folds and main metric.

`task_specs` lists what there is, `get_task_spec` finds one, its ``load`` reads the data::

    task = get_task_spec("demo_bulk_modulus").load(DataSources())
    train, test = task.split(0)
"""

from __future__ import annotations

from crystalbench.tasks.registry import get_task_spec, require_data, resolve_tasks, task_specs
from crystalbench.tasks.sources import DataSources, parse_data_options
from crystalbench.tasks.tables.spec import TableTaskSpec
from crystalbench.tasks.task import Availability, Source, Task, TaskSpec

__all__ = [
    "Availability",
    "DataSources",
    "Source",
    "TableTaskSpec",
    "Task",
    "TaskSpec",
    "get_task_spec",
    "parse_data_options",
    "require_data",
    "resolve_tasks",
    "task_specs",
]
