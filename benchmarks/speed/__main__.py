"""Measure rows of the speed table: ``python -m benchmarks.speed [NAME ...]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.speed import machine, mp2018, page, table
from benchmarks.speed.registry import ROWS, chosen
from benchmarks.speed.rows import Settings, measure
from crystalbench.errors import CrystalBenchError
from crystalbench.tasks import parse_data_options
from crystalbench.tasks.matbench.official import OFFICIAL


def main(arguments: list[str] | None = None) -> int:
    """Measure rows and update the table; returns the exit status."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        rows = chosen(options.names)
        if options.list:
            for row in rows:
                console.print(f"[bold]{row.name}[/bold] ({row.unit}): {row.against}", highlight=False)
            return 0
        machine.prepare_threads(options.threads, flush=True)
        where = machine.describe(options.threads)
        settings = Settings(
            options.data_dir.resolve() if options.data_dir else None,
            options.threads,
            parse_data_options(options.data, (*OFFICIAL, mp2018.NAME)),
            options.cgcnn.resolve() if options.cgcnn else None,
        )
        table.read_results(options.results / table.FILE_NAME)  # detect an unusable file before anything is measured
        results, failures = [], 0
        for row in rows:
            try:
                with console.status(row.name):
                    results.append(measure(row, settings, options.repeats, where))
            except CrystalBenchError as error:
                print(f"{row.name}: not measured: {error}", file=sys.stderr)
                failures += 1
                continue
            table.update(options.results, results[-1:], list(ROWS))
            page.write_page(options.results, ROWS)
        console.print(table.screen(results))
        for result in results:
            console.print(f"[bold]{result.name}[/bold]: {result.against}", highlight=False)
        console.print(f"{where}\nwritten to {options.results / table.FILE_NAME}", highlight=False)
    except CrystalBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 1 if failures and options.names else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="rows, or patterns such as 'cgcnn_*' (default: all)")
    parser.add_argument("--data-dir", type=Path, help="folder with matminer's files")
    parser.add_argument("--data", action="append", default=[], metavar="TASK=PATH", help="a task's file (repeatable)")
    parser.add_argument("--cgcnn", type=Path, help="clone of the original CGCNN, for the rows that measure it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of speed.csv (default: results)")
    parser.add_argument("--repeats", type=_positive, default=5, help="measurements of each side (default: 5)")
    parser.add_argument("--threads", type=_positive, default=1, help="threads or processes of both sides (default: 1)")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
