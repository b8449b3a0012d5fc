"""Draw the figure of docs/quotient-graphs.md: ``python docs/figures/quotient_graph.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.representations import Arrays, QuotientGraph
from crystalbench.testing.crystals import known_structures

NAMES = {22: "Ti", 8: "O"}
COLORS = {22: "#5b7fa6", 8: "#c8553d"}
RADII = {22: 0.42, 8: 0.33}
VIEW = np.array([[1.0, 0.0], [0.38, 0.30], [0.0, 1.0]])  # oblique projection of x, y, z


def main() -> None:
    """Draw rutile and its quotient graph side by side."""
    mpl.rcParams |= {"font.family": "DejaVu Sans", "font.size": 10, "svg.hashsalt": "quotient-graph"}
    names = list(known_structures().ids)
    rutile = known_structures()[[names.index("rutile")]]
    quotient = QuotientGraph()(rutile)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.7), width_ratios=(1, 1.25))
    _cell(left, rutile)
    _graph(right, quotient)
    edges = 12 * len(rutile.numbers)
    sites, merged = len(quotient.values["numbers"]), len(quotient.values["counts"])
    left.set_title(f"Rutile: {len(rutile.numbers)} atoms, {edges} edges")
    right.set_title(f"Its quotient graph: {sites} sites, {merged} edges")
    for axes in (left, right):
        axes.set_aspect("equal", adjustable="datalim")
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(Path(__file__).parents[1] / "_static" / "quotient-graph.svg", metadata={"Date": None})


def _cell(axes: Any, crystal: Crystals) -> None:
    lattice = crystal.lattices[0]
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    for a in corners:
        for b in corners:
            if (b - a).sum() == 1 and (b >= a).all():
                ends = np.array([a, b]) @ lattice @ VIEW
                axes.plot(*ends.T, color="#b9b9b9", lw=0.8, zorder=0)
    images = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])
    points, kinds = [], []
    for image in images:
        for coords, number in zip(crystal.wrapped().frac_coords + image, crystal.numbers, strict=True):
            if (coords > -0.01).all() and (coords < 1.01).all():
                points.append(coords @ lattice)
                kinds.append(int(number))
    carts = np.array(points)
    for i, start in enumerate(carts):
        for j in range(i):
            if np.linalg.norm(start - carts[j]) < 2.1:
                axes.plot(*(np.array([start, carts[j]]) @ VIEW).T, color="#8a8a8a", lw=1.2, zorder=1)
    for position, kind in sorted(zip(carts.tolist(), kinds, strict=True), key=lambda item: -item[0][1]):
        _disc(axes, np.array(position) @ VIEW, kind, "")


def _graph(axes: Any, graph: Arrays) -> None:
    """Sites as discs, edges as arrows, each with its count and distance."""
    values = graph.values
    places = np.array([[0.0, 0.0], [5.0, 0.0]])
    bends: dict[tuple[int, int], int] = {}
    rows = zip(values["sources"], values["neighbors"], values["shells"], values["counts"], strict=True)
    for source, neighbor, shell, count in rows:
        text = f"{count} × {values['distances'][shell]:.2f} Å"
        number = bends[source, neighbor] = bends.get((source, neighbor), -1) + 1
        if source == neighbor:
            _loop(axes, places[source], -1 if source == 0 else 1, number, text)
        else:
            _arrow(axes, places[source], places[neighbor], 0.35 + 0.75 * number, text)
    for place, number, times in zip(places, values["numbers"], values["multiplicities"], strict=True):
        _disc(axes, place, int(number), f"{NAMES[int(number)]}\n× {times}", 1.7)
    axes.set_xlim(-3.6, 8.6)


def _arrow(axes: Any, start: Any, end: Any, bend: float, text: str) -> None:
    side = 1 if end[0] > start[0] else -1
    middle = (start + end) / 2 + np.array([0, side * bend])
    axes.annotate(
        "",
        end,
        start,
        arrowprops={
            "arrowstyle": "-|>",
            "connectionstyle": f"arc3,rad={-2 * bend / 5.0}",
            "color": "#444444",
            "shrinkA": 17,
            "shrinkB": 17,
            "lw": 1.1,
        },
    )
    axes.text(*middle, text, ha="center", va="center", fontsize=8, bbox={"fc": "white", "ec": "none", "pad": 0.6})


def _loop(axes: Any, place: Any, side: int, number: int, text: str) -> None:
    angle = np.deg2rad((32, -32)[number] if side > 0 else 0)
    direction = np.array([side * np.cos(angle), np.sin(angle)])
    center = place + 1.05 * direction
    axes.add_patch(plt.Circle(center, 0.55, fill=False, ec="#444444", lw=1.1))
    axes.text(*(place + 1.72 * direction), text, ha="left" if side > 0 else "right", va="center", fontsize=8)


def _disc(axes: Any, place: Any, number: int, text: str, scale: float = 1.0) -> None:
    axes.add_patch(plt.Circle(place, scale * RADII[number], fc=COLORS[number], ec="white", lw=1.0, zorder=3))
    axes.text(*place, text, ha="center", va="center", color="white", fontsize=9, zorder=4)


if __name__ == "__main__":
    main()
