"""``crystalbench predict``: predictions of a fitted model for new materials."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from crystalbench._words import counted
from crystalbench.cli import options
from crystalbench.cli.console import command, say, screen
from crystalbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from crystalbench.data.crystals import Inputs
    from crystalbench.runs.final import FinalModel

SHOWN_ROWS = 10


def predict(
    model: Annotated[Path, typer.Argument(help="Folder that `crystalbench fit` wrote.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Structure files (CIF, POSCAR, ...), or one table (.csv, .parquet).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file for the predictions; otherwise they are shown.")] = None,
    formula: Annotated[
        list[str] | None, typer.Option(help="A chemical formula (repeatable), for composition models.")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of a table with ids.")] = None,
    cif: Annotated[str | None, typer.Option(help="Column of a table with CIF text.")] = None,
    json: Annotated[str | None, typer.Option(help="Column of a table with pymatgen structures as JSON.")] = None,
    composition: Annotated[str | None, typer.Option(help="Column of a table with formulas.")] = None,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    verbose: options.Verbose = False,
) -> None:
    """Predict new materials with a model that `crystalbench fit` saved.

    Columns of a table are looked for under the names of the task that the model was fitted to, then under usual names.
    """
    with command(verbose):
        from crystalbench.runs.final import FinalModel

        options.check_machine(device, threads)
        named = {"id": id_, "cif": cif, "json": json, "composition": composition}
        _check_names(named, files or [], out)
        final = FinalModel.load(model, device=device, threads=threads)
        columns = _columns(named, final)
        frame = predictions_frame(final, _inputs(files or [], formula or [], columns))
        if out is None:
            _show(frame, final)
        else:
            _write(frame, out)
            say(f"{counted(len(frame), 'prediction')} of {final.target.name}{_unit(final)} written to {out}")


def _check_names(named: dict[str, str | None], files: list[Path], out: Path | None) -> None:
    """Check the options that name columns, and that no input is overwritten."""
    from crystalbench.tasks.tables.reading import TABLE_SUFFIXES

    has_table = any(file.name.endswith(TABLE_SUFFIXES) for file in files)
    for option, column in named.items():
        if column is not None and not column:
            raise ConfigError(f"--{option} is empty; give the name of a column")
        if column is not None and not has_table:
            raise ConfigError(f"--{option} {column} names a column of a table, but no table is given; leave it out")
    if out is not None and out.exists() and any(file.exists() and file.samefile(out) for file in files):
        raise ConfigError(f"--out {out} would overwrite an input; give another file")
    if out is not None and out.suffix.lower() in _OTHER_FORMATS:
        raise ConfigError(f"--out {out}: predictions are written as CSV; give a name that ends in .csv")


_OTHER_FORMATS = (".xlsx", ".xls", ".ods", ".parquet", ".json", ".gz", ".zip", ".html", ".md")


def _columns(named: dict[str, str | None], final: FinalModel) -> dict[str, Any] | None:
    """Columns of a table: those of the options, or those of the model's task."""
    if not any(named.values()):
        return final.description.columns or None
    structures = {key: named[key] for key in ("cif", "json") if named[key]}
    if len(structures) + bool(named["composition"]) > 1:
        raise ConfigError("give one of --cif, --json and --composition")
    if not structures and not named["composition"]:
        return {**final.description.columns, "id": named["id"]}
    chosen: dict[str, Any] = {"structure": structures} if structures else {"composition": named["composition"]}
    return chosen | ({"id": named["id"]} if named["id"] else {})


def _inputs(files: list[Path], formulas: list[str], columns: dict[str, Any] | None) -> Inputs:
    from crystalbench.tasks import inputs

    if formulas and files:
        raise ConfigError("give files or --formula, not both")
    return inputs.formulas(formulas) if formulas else inputs.read_inputs(files, columns)


def predictions_frame(final: FinalModel, inputs: Inputs) -> pd.DataFrame:
    """Predictions as a table.

    Returns:
        Columns ``id`` and, for regression, ``prediction`` and ``std`` where the model gives one; for classification,
        ``prediction`` (the most probable class) and ``p_CLASS`` for each class.
    """
    import numpy as np
    import pandas as pd

    from crystalbench.targets import Kind

    found, target = final.predict(inputs), final.target
    frame = pd.DataFrame({"id": inputs.ids})
    if target.kind is Kind.REGRESSION:
        frame["prediction"] = found.values
        if found.std is not None:
            round_off = 1e-12 * np.abs(found.values)  # members that agree
            frame["std"] = np.where(found.std > round_off, found.std, 0.0)
        return frame
    values = found.values
    shares = np.stack([1 - values, values], axis=1) if target.kind is Kind.BINARY else values
    frame["prediction"] = [target.classes[number] for number in shares.argmax(1)]
    for number, name in enumerate(target.classes):
        frame[f"p_{name}"] = shares[:, number]
    return frame


def _unit(final: FinalModel) -> str:
    return f" ({final.target.unit})" if final.target.unit else ""


def _show(frame: pd.DataFrame, final: FinalModel) -> None:
    from crystalbench.targets import Kind

    say(f"{final.target.name}{_unit(final)}, {final.description.model} fitted to {final.description.task}")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in frame.columns:
        numeric = frame[name].dtype.kind == "f"
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    scale = 1.0 if final.target.kind is not Kind.REGRESSION else final.description.spread
    for row in frame.head(SHOWN_ROWS).itertuples(index=False):
        table.add_row(*(_number(value, scale) if isinstance(value, float) else escape(str(value)) for value in row))
    screen.print(table)
    if len(frame) > SHOWN_ROWS:
        say(f"and {len(frame) - SHOWN_ROWS:,} more; --out FILE.csv writes all of them", style="dim")


def _number(value: float, scale: float | None) -> str:
    """Five significant digits, but none below a hundred-thousandth of the scale: such a value is 0 to any purpose.

    Args:
        value: a prediction, a standard deviation or a probability.
        scale: standard deviation of the targets that were fitted, or 1 for probabilities; None if it is not known.
    """
    if scale:
        value = round(value, 5 - math.floor(math.log10(scale))) + 0.0  # no negative zero
    return f"{value:.5g}"


def _write(frame: pd.DataFrame, path: Path) -> None:
    from crystalbench._files import write_text

    try:
        write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error
