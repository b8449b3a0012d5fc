"""The page of the speed table: what was measured, beside what is wanted, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.speed import scale_table
from benchmarks.speed.rows import Result, Row
from benchmarks.speed.table import FILE_NAME, read_results, write_text, written

PAGE_NAME = "speed.md"

_HEAD = f"""# Speed

Written by `python -m benchmarks.speed` from [{FILE_NAME}]({FILE_NAME}): medians of measurements of both sides in turn,
of the same work on the same data, after one of each that does not count. Where results can be compared, they were found
equal first. The ratio says how many times faster CrystalBench is; the targets are meant for two threads.

```console
$ python -m benchmarks.speed --threads 2 --data matbench_mp_e_form=MP.parquet --data mp2018=MP.parquet --cgcnn CLONE
$ python -m benchmarks.speed --threads 2 'graphs_*'
```
"""


def write_page(directory: Path, rows: Mapping[str, Row]) -> None:
    """Write the page of the tables in a folder.

    Raises:
        DataError: a file there is not such a table.
    """
    text = f"{_HEAD}\n{speed_text(read_results(directory / FILE_NAME), rows)}"
    if sizes := scale_table.read_sizes(directory / scale_table.FILE_NAME):
        text += f"\n{scale_table.text_of(sizes)}"
    write_text(directory / PAGE_NAME, text)


def speed_text(results: Iterable[Result], rows: Mapping[str, Row]) -> str:
    """The table with targets; below it what was compared, and where."""
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
    lines += ["", "What is compared, ours first:", ""]
    lines += [f"- `{r.name}`: {r.against}." for r in results]
    lines += ["", "Where:", ""]
    for machine in dict.fromkeys(r.machine for r in results):
        names = ", ".join(f"`{r.name}`" for r in results if r.machine == machine)
        lines.append(f"- {machine}: {names}.")
    return "\n".join(lines) + "\n"
