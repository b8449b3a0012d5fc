"""Facts of rows that records do not contain, from the data of the tasks where it is found."""

from __future__ import annotations

from crystalbench.errors import CrystalBenchError, UnknownNameError
from crystalbench.reports.site.content import Facts
from crystalbench.results.loading import Results
from crystalbench.tasks import DataSources, get_task_spec
from crystalbench.tasks.suffixes import divided


def facts_of(results: Results, sources: DataSources) -> tuple[dict[str, Facts], list[str]]:
    """Facts of the rows of all tasks of some results whose data is on this machine.

    Each task is read once and completely: results on part of its rows, and on tasks that are made of it, have its ids.

    Args:
        results: the results.
        sources: where the data of the tasks is; nothing is downloaded.

    Returns:
        The facts by name of the task itself, and for each task without them the reason on one line.
    """
    found: dict[str, Facts] = {}
    problems = []
    for name in sorted({divided(name)[0] for name in results.scores["task"].unique()}):
        try:
            spec = get_task_spec(name)
            available = spec.availability(sources)
            if not available.here:
                problems.append(f"{name}: {available.where}")
                continue
            task = spec.load(sources)
        except UnknownNameError:
            problems.append(f"{name}: is not a registered task here")
            continue
        except CrystalBenchError as error:
            problems.append(f"{name}: {error}")
            continue
        ids = (str(row) for row in task.inputs.ids)
        found[name] = Facts(dict(zip(ids, task.inputs.formulas(), strict=True)))
    return found, problems
