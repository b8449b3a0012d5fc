"""Write the demo data: ``python -m benchmarks.demo_data [--out DIR]``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.demo_data.aflow import prototype_rows
from benchmarks.demo_data.alloys import alloy_rows
from benchmarks.demo_data.table import ALLOY_SCHEMA, PROTOTYPE_SCHEMA, write_rows

DEFAULT_OUT = Path(__file__).resolve().parents[2] / "src" / "crystalbench" / "tasks" / "data"


def main() -> None:
    """Generate both files and print a summary of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_data", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write to (default: in the package)")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    prototypes, disagreements = prototype_rows()
    write_rows(prototypes, PROTOTYPE_SCHEMA, out / "demo_prototypes.parquet")
    print(
        f"{len(prototypes)} prototypes; {len(disagreements)} have a space group other than that of their AFLOW label:"
    )
    for disagreement in disagreements:
        print(f"  {disagreement}")

    def progress(line: str) -> None:
        print(f"{time.perf_counter() - start:7.1f} s  {line}", flush=True)

    alloys, dropped = alloy_rows(progress)
    write_rows(alloys, ALLOY_SCHEMA, out / "demo_alloys.parquet")
    stable = sum(row["dynamically_stable"] for row in alloys)
    print(
        f"{len(alloys)} alloys, {stable} dynamically stable; {len(dropped)} dropped because they equal an earlier row:"
    )
    for line in dropped:
        print(f"  {line}")
    print(f"{time.perf_counter() - start:.1f} s in total")


if __name__ == "__main__":
    main()
