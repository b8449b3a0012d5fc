"""How the training time of CGCNN is divided, and how far it is from the limits of the machine.

``python -m benchmarks.speed.profile --data-dir DIR`` prints a table.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import machine
from benchmarks.speed.cgcnn import LAYERS, WIDTH, our_measurement
from benchmarks.speed.passes import crystals_and_targets
from benchmarks.speed.rows import Settings
from crystalbench.models.cgcnn import CGCNN

PASSES = 10
_FLOAT = 4  # bytes

_PARTS = {
    "matrix products": ("mm", "addmm", "addmm_", "addmv", "addmv_", "mv", "bmm"),
    "sigmoids, logarithms, exponentials": (
        "sigmoid",
        "sigmoid_",
        "log_",
        "exp_",
        "silu",
        "silu_backward",
        "rsqrt",
        "sqrt",
    ),
    "reading and summing rows": (
        "_embedding_bag",
        "_embedding_bag_forward_only",
        "index_select",
        "index",
        "index_add_",
    ),
    "other element-wise work": (
        *(
            "mul",
            "mul_",
            "add",
            "add_",
            "sub",
            "addcmul",
            "addcmul_",
            "minimum",
            "maximum",
            "clamp",
            "clamp_",
            "neg",
            "neg_",
        ),
        *("sum", "div", "square", "pow", "cat", "copy_", "lerp_", "fill_", "addr_"),
    ),
    "assembling batches": ("sort", "searchsorted", "repeat_interleave", "cumsum", "arange", "remainder", "stack"),
    "optimiser": ("_fused_adamw_",),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="folder with matminer's files")
    parser.add_argument("--threads", type=int, default=1, help="threads that torch may use (default: 1)")
    options = parser.parse_args()
    machine.prepare_threads(options.threads, flush=True)
    crystals, targets = crystals_and_targets(Settings(options.data_dir, options.threads))
    measure = our_measurement(crystals, targets, "training", options.threads)
    measure()
    seconds = len(crystals) / measure()
    parts = _parts(measure)
    bound = _bound(measure, int(CGCNN().representation(crystals).offsets["edge"][-1]))
    table = Table(
        title=f"One pass of training over {len(crystals):,} crystals: {len(crystals) / seconds:,.0f} crystals/s"
    )
    table.add_column("part")
    table.add_column("share", justify="right")
    for part, share in sorted(parts.items(), key=lambda item: -item[1]):
        table.add_row(part, f"{100 * share:.0f} %")
    console = Console()
    console.print(table)
    for what, least in bound.items():
        console.print(f"{what}: {1000 * least:.1f} ms of {1000 * seconds:.1f} ms", highlight=False)
    console.print(
        f"gradient of weights with a third of the inputs subnormal, not flushed, one thread: "
        f"{_cost_of_subnormals():.2f} times the time without subnormals",
        highlight=False,
    )
    console.print(machine.describe(options.threads), highlight=False)


def _parts(measure: Callable[[], float]) -> dict[str, float]:
    """Shares of the time by part. Time outside torch's operations is that of Python and autograd."""
    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(PASSES):
            measure()
    total = time.perf_counter() - start
    part_of = {f"aten::{name}": part for part, names in _PARTS.items() for name in names}
    shares: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        part = part_of.get(event.key)
        if part is not None:
            shares[part] += event.self_cpu_time_total / 1e6 / total
    shares["everything else, including Python and autograd"] = 1 - sum(shares.values())
    return dict(shares)


def _bound(measure: Callable[[], float], edges: int) -> dict[str, float]:
    """Lower bounds for the seconds of a pass: matrix products, and writing and reading the features of edges."""
    with FlopCounterMode(display=False) as counter:
        measure()
    size = 1024
    square = torch.randn(size, size)
    product = _fastest(lambda: square @ square) / (2 * size**3)
    many = torch.randn(1 << 24)
    copy = _fastest(lambda: many.clone()) / (2 * _FLOAT * len(many))
    features = 2 * WIDTH * LAYERS * edges
    return {
        "matrix products at the speed of a large one": product * counter.get_total_flops(),
        "features of edges written and read once, forward and backward, at the speed of a copy": (
            copy * 4 * _FLOAT * features
        ),
    }


def _cost_of_subnormals() -> float:
    torch.set_num_threads(1)  # other threads keep the flag with which they started
    torch.set_flush_denormal(False)
    gradient, plain = torch.rand(40_000, 2 * WIDTH), torch.rand(40_000, 41)
    subnormal = plain.where(torch.rand_like(plain) > 1 / 3, torch.tensor(1e-40))
    assert (subnormal.unique() == 1e-40).any()
    return _fastest(lambda: subnormal.t() @ gradient) / _fastest(lambda: plain.t() @ gradient)


def _fastest(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
