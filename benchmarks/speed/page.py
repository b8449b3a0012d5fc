"""The page of the speed table in Markdown: measurements and targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.speed import scale_table
from benchmarks.speed.rows import Result, Row
from benchmarks.speed.table import FILE_NAME, read_results, written
from crystalbench._files import write_text

PAGE_NAME = "speed.md"

_HEAD = f"""# Speed

Written by `python -m benchmarks.speed` from [{FILE_NAME}]({FILE_NAME}). Both sides do the same work on the same data.
They are measured alternately; the first measurement of each is discarded, and the medians of the others are reported.
Results that can be compared were found to agree first. The ratio is the factor by which CrystalBench is faster. The
targets are for two threads.

```console
$ python -m benchmarks.speed --threads 2 --data matbench_mp_e_form=MP.parquet --data mp2018=MP.parquet --cgcnn CLONE
$ python -m benchmarks.speed --threads 2 'graphs_*'
```
"""


def write_page(directory: Path, rows: Mapping[str, Row]) -> None:
    """Write the page in a folder from the tables there.

    Args:
        directory: folder with the tables.
        rows: all rows by name.

    Raises:
        DataError: a file in the folder is not such a table.
    """
    text = f"{_HEAD}\n{speed_text(read_results(directory / FILE_NAME), rows)}"
    if sizes := scale_table.read_sizes(directory / scale_table.FILE_NAME):
        text += f"\n{scale_table.text_of(sizes)}"
    write_text(directory / PAGE_NAME, text)


def speed_text(results: Iterable[Result], rows: Mapping[str, Row]) -> str:
    """The table with targets, followed by what was compared and on which machines."""
    results = list(results)
    lines = ["| row | ours | peer | unit | ratio | target | met |", "|---|---:|---:|---|---:|---:|---|"]
    for r in results:
        target = rows[r.name].target if r.name in rows else None
        wanted, met = ("", "") if target is None else (f"≥ {target:g} ×", "yes" if r.ratio >= target else "no")
        numbers = f"{written(r.ours)} | {written(r.peer)} | {r.unit} | {written(r.ratio)} ×"
        lines.append(f"| `{r.name}` | {numbers} | {wanted} | {met} |")
    measured = {r.name for r in results}
    if missing := [f"`{name}`" for name in rows if name not in measured]:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    lines += ["", "What is compared (CrystalBench; peer):", ""]
    lines += [f"- `{r.name}`: {r.against}." for r in results]
    lines += ["", "Machines:", ""]
    for machine in dict.fromkeys(r.machine for r in results):
        names = ", ".join(f"`{r.name}`" for r in results if r.machine == machine)
        lines.append(f"- {machine}: {names}.")
    return "\n".join(lines) + "\n"
