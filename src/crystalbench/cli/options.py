"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalbench.errors import ConfigError

if TYPE_CHECKING:
    from crystalbench.runs.executors import Engine
    from crystalbench.runs.suite import Suite
    from crystalbench.tasks import DataSources

DataDir = Annotated[Path | None, typer.Option(help="Folder with matminer's Matbench files.")]
Data = Annotated[
    list[str] | None,
    typer.Option(help="Data file of a task, possibly with some of its rows (repeatable).", metavar="TASK=PATH"),
]
Limit = Annotated[int | None, typer.Option(help="Largest number of rows of each task.", min=1)]
Offline = Annotated[bool, typer.Option("--offline", help="Never download data.")]


def _results_folder(value: str | Path) -> Path:
    """The value of ``--results``, or its default.

    Raises:
        typer.BadParameter: it is empty, which would mean the working directory.
    """
    if not str(value).strip():
        raise typer.BadParameter("it is empty; give the name of a folder, or . for the working directory")
    return Path(value)


RESULTS = typer.Option(help="Folder of records and leaderboards.", parser=_results_folder, metavar="FOLDER")
Results = Annotated[Path, RESULTS]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A hyperparameter, name=value (repeatable).", metavar="NAME=VALUE")
]
Storage = Annotated[
    str | None,
    typer.Option(help="Database of studies for several machines, e.g. postgresql://user@host/base.", metavar="URL"),
]
Device = Annotated[str, typer.Option(help="Torch device: cpu, cuda, mps.")]
Threads = Annotated[int, typer.Option(help="Threads of each run.", min=1)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")]


def data_sources(
    data_dir: Path | None,
    data: Sequence[str] | None,
    limit: int | None,
    offline: bool,
    tasks: Sequence[str] = (),
) -> DataSources:
    """Where to look for data, as the options say.

    Args:
        data_dir: ``--data-dir``.
        data: ``--data``, of the form ``TASK=PATH``.
        limit: ``--limit``.
        offline: ``--offline``.
        tasks: requested tasks, whose task files may be named in ``data``.

    Raises:
        ConfigError: the folder does not exist, or an option has another form.
    """
    from crystalbench.tasks import DataSources, get_task_spec, parse_data_options, task_specs
    from crystalbench.tasks.suffixes import divided

    if data_dir is not None and not data_dir.is_dir():
        raise ConfigError(f"--data-dir {data_dir}: there is no such folder")
    plain = [divided(task)[0] for task in tasks] if data else []
    own = [get_task_spec(task).name for task in plain if task.endswith(".toml")]
    return DataSources(data_dir, parse_data_options(data or [], (*task_specs(), *own)), limit, not offline)


def check_machine(device: str, threads: int, workers: int | None = None) -> None:
    """Check before any work the device and the numbers of threads and workers.

    The CPU is not checked, as torch is slow to import.

    Raises:
        ConfigError: the device cannot be used, or a number is out of bounds.
    """
    from crystalbench.runs.numbers import MOST_PROCESSES, whole_number

    whole_number("--threads", threads, 1, MOST_PROCESSES)
    whole_number("--workers", 1 if workers is None else workers, 1, MOST_PROCESSES)
    if device != "cpu":
        from crystalbench.models.devices import checked_device

        checked_device(device)


def engine_of(
    suite: Suite, name: str | None, address: str | None, cpus: float | None, gpus: float | None
) -> tuple[Suite, Engine]:
    """The engine that a command names, and its suite with what its runs reserve.

    Args:
        suite: the suite.
        name: ``--engine``.
        address: ``--address``.
        cpus: ``--cpus-per-run``; None for the suite's value.
        gpus: ``--gpus-per-run``; None for the suite's value.

    Raises:
        ConfigError: there is no such engine, or an option is for another one.
    """
    from crystalbench.runs.executors import Engine
    from crystalbench.runs.resources import Reservation

    engine = Engine(name, address, Reservation(cpus, gpus))
    if not engine.is_cluster:
        return suite, engine
    given = {key: value for key, value in (("cpus", cpus), ("gpus", gpus)) if value is not None}
    suite = suite.model_copy(update={"resources": suite.resources.model_copy(update=given)})
    return suite, replace(engine, reserves=Reservation(suite.resources.cpus, suite.resources.gpus))


def parameters(settings: Sequence[str] | None) -> dict[str, Any]:
    """Hyperparameters by name from settings such as ``epochs=50``; values are JSON, or text where they are not.

    Raises:
        ConfigError: a setting has another form, or a name occurs twice.
    """
    found: dict[str, Any] = {}
    for text in settings or ():
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ConfigError(f"--set {text!r}: write it as name=value, e.g. --set epochs=50")
        if name in found:
            raise ConfigError(f"--set {name} is given more than once; give each hyperparameter one value")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = {"True": True, "False": False, "None": None}.get(value, value)
    return found


def fractions(text: str | None) -> tuple[float, ...] | None:
    """Shares of the training part from text such as ``0.1,0.5,1``.

    Raises:
        ConfigError: one is not a number above 0 and at most 1.
    """
    if text is None:
        return None
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise ConfigError(f"--train-fraction {text}: give numbers above 0 and at most 1, e.g. 0.1,0.2,0.5,1")
    return found


def nothing_found(results: Path, what: str, remedy: str) -> str:
    """Message for a folder of results without records or studies; names folders below it that have some."""
    near = [str(path.parent) for path in sorted(results.glob(f"*/{what}")) if any(path.glob("*/*/*.json"))]
    where = f" (there are some in {', '.join(near)})" if near else ""
    return f"{results / what}: there are no {what}; {remedy}, or give --results{where}"
