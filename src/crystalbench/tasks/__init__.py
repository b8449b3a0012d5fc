"""Tasks: properties to predict, with their data, official folds and main metric.

`load_task` loads one by its name, and `list_tasks` lists all of them::

    task = load_task("demo_bulk_modulus")
    train, test = task.split(0)

`task_specs` and `get_task_spec` give a task before its data is loaded; its ``load`` reads the data from `DataSources`.
"""

from __future__ import annotations

from crystalbench.tasks.loading import list_tasks, load_task
from crystalbench.tasks.options import parse_data_options
from crystalbench.tasks.registry import get_task_spec, require_data, resolve_tasks, task_specs
from crystalbench.tasks.remote import RemoteFile
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.spec import Availability, TaskSpec
from crystalbench.tasks.tables.spec import TableTaskSpec
from crystalbench.tasks.task import Source, Task

__all__ = [
    "Availability",
    "DataSources",
    "RemoteFile",
    "Source",
    "TableTaskSpec",
    "Task",
    "TaskSpec",
    "get_task_spec",
    "list_tasks",
    "load_task",
    "parse_data_options",
    "require_data",
    "resolve_tasks",
    "task_specs",
]
