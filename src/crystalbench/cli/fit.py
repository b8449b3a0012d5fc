"""``crystalbench fit``: fit a model to all rows of a task, for predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalbench._files import is_read_only
from crystalbench.cli import options
from crystalbench.cli.console import command, note, say, screen
from crystalbench.errors import SavingError

if TYPE_CHECKING:
    from crystalbench.tasks import TaskSpec


def fit(
    task: Annotated[str, typer.Option(help="Name of a task, or a task file .toml.")],
    model: Annotated[str, typer.Option(help="Name of a model, package.module:Class or file.py:Class.")],
    out: Annotated[Path, typer.Option(help="New folder for the fitted model.")],
    set_: options.Settings = None,
    view: Annotated[str, typer.Option(help="What the model may see.")] = "full",
    ensemble: Annotated[int, typer.Option(help="Ensemble members; their spread is an uncertainty.", min=1)] = 1,
    inner_folds: Annotated[int, typer.Option(help="Inner folds; one of them validates.", min=2)] = 10,
    seed: Annotated[int, typer.Option(help="Number of the repetition.", min=0)] = 0,
    data_dir: options.DataDir = None,
    data: options.Data = None,
    limit: options.Limit = None,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    offline: options.Offline = False,
    verbose: options.Verbose = False,
) -> None:
    """Fit a model to all rows of a task and save it; `crystalbench predict` uses it.

    Compare models with ``crystalbench run`` first: a final model has no test part, and so no score. If a long fit is
    interrupted, repeat the command to continue.
    """
    with command(verbose):
        from crystalbench.cli.progress import Bars
        from crystalbench.models import get_model
        from crystalbench.models.saving import check_can_be_saved
        from crystalbench.results.spec import ProtocolSpec
        from crystalbench.runs.final import fit_final
        from crystalbench.runs.fit_checkpoints import FitCheckpoints
        from crystalbench.runs.resources import Resources
        from crystalbench.tasks import get_task_spec, require_data

        _check_new_folder(out)  # before a long fit
        options.check_machine(device, threads)
        check_can_be_saved(get_model(model))
        spec = get_task_spec(task)
        sources = options.data_sources(data_dir, data, limit, offline, [task])
        require_data([spec], sources)
        loaded = spec.load(sources)
        if loaded.remarks:
            note(loaded.remarks_line)
        checkpoints = FitCheckpoints(out.with_name(f".{out.name}.checkpoints"))
        with Bars(screen, transient=True) as bars:
            final = fit_final(
                model,
                loaded,
                options.parameters(set_),
                view=view,
                protocol=ProtocolSpec(inner_folds=inner_folds, ensemble=ensemble),
                seed=seed,
                resources=Resources(device, threads),
                columns=_columns(spec),
                progress=bars.add(f"{loaded.name} · {model}", loaded.target),
                checkpoints=checkpoints,
            )
        final.save(out)
        checkpoints.remove(final.description.spec)
        members = f", {ensemble} members" if ensemble > 1 else ""
        say(f"{model} fitted to {len(loaded):,} rows of {loaded.name}{members}, saved in {out}")


def _check_new_folder(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise SavingError(f"{out}: exists already; give the name of a new folder")
    existing = next(folder for folder in out.absolute().parents if folder.exists())
    if not existing.is_dir() or is_read_only(existing):
        what = "cannot be written to" if existing.is_dir() else "is not a folder"
        raise SavingError(f"{out}: {existing} {what}; give the name of a new folder elsewhere")


def _columns(spec: TaskSpec) -> dict[str, Any]:
    """Names of the columns of a user's table, so that tables for prediction may be like it."""
    config = getattr(spec, "config", None)
    if config is None:
        return {}
    structure = config.structure.model_dump(by_alias=True, exclude_none=True) if config.structure else None
    named = {"id": config.id, "structure": structure, "composition": config.composition}
    return {name: value for name, value in named.items() if value is not None}
