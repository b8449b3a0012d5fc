"""Crystal graphs with the compiled neighbour search, compared with pymatgen's objects."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from pymatgen.core import Structure

from benchmarks.speed.phonons import MP, NAME, loaded
from benchmarks.speed.rows import Measurement, Row, Settings
from crystalbench.data.crystals import Crystals
from crystalbench.representations import CrystalGraph
from crystalbench.representations.processes import allowed_processes

CUTOFF = 8.0
NEIGHBORS = 12
SAMPLE = 200
# In Å. Within a shell (distances less than 1e-5 Å apart) the graph is ordered by element, the peer by distance.
TOLERANCE = 1e-4


def peer_graph(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours and distances in Å, both (atoms, 12), as computed by the original CGCNN.

    If an atom has fewer neighbours within 8 Å, the rest is padded with atom 0 at 9 Å.
    """
    neighbors, distances = [], []
    for found in structure.get_all_neighbors(CUTOFF, include_index=True):
        nearest = sorted(found, key=lambda site: site[1])[:NEIGHBORS]
        missing = NEIGHBORS - len(nearest)
        neighbors.append([site[2] for site in nearest] + [0] * missing)
        distances.append([site[1] for site in nearest] + [CUTOFF + 1.0] * missing)
    return np.array(neighbors), np.array(distances)


def check_distances(ours: np.ndarray, peer: np.ndarray) -> int:
    """Compare distances for the atoms that have 12 neighbours within the cutoff.

    Args:
        ours: (atoms, 12) distances in Å.
        peer: (atoms, 12) distances of the peer.

    Returns:
        The number of such atoms.

    Raises:
        RuntimeError: distances differ by more than `TOLERANCE`.
    """
    full = peer[:, -1] <= CUTOFF
    difference = np.abs(ours[full] - peer[full]).max(initial=0.0)
    if difference > TOLERANCE:
        raise RuntimeError(f"distances differ from the peer's by up to {difference:.2g} Å")
    return int(full.sum())


def evenly(crystals: Crystals, size: int) -> Crystals:
    """A sample of crystals, spread evenly over the numbers of atoms, with the same mean number."""
    by_size = np.argsort(crystals.atom_counts, kind="stable")
    places = (np.arange(size) + 0.5) * len(crystals) / size
    return crystals[by_size[places.astype(int)]]


@contextmanager
def _prepare(settings: Settings, *, task: str, limit: int | None) -> Iterator[tuple[Measurement, Measurement]]:
    crystals = loaded(settings, task).limited(limit).inputs
    assert isinstance(crystals, Crystals)  # a task with structures
    sample = evenly(crystals, SAMPLE)
    structures: Sequence[Structure] = sample.to_pymatgen()
    graph = CrystalGraph(neighbors=NEIGHBORS)
    peer_distances = np.concatenate([peer_graph(structure)[1] for structure in structures])
    check_distances(graph(sample).values["distances"], peer_distances)

    def ours() -> float:
        start = time.perf_counter()
        with allowed_processes(settings.threads):
            graph(crystals)
        return 1000 * (time.perf_counter() - start) / len(crystals)

    def peer() -> float:
        start = time.perf_counter()
        for structure in structures:
            peer_graph(structure)
        return 1000 * (time.perf_counter() - start) / len(structures)

    yield ours, peer


ROWS = (
    Row(
        "graphs_phonons",
        "ms/crystal",
        f"graphs of {NEIGHBORS} neighbours, {SAMPLE} crystals of {NAME}; "
        f"pymatgen Structure.get_all_neighbors({CUTOFF:g}), sorted, as in the original CGCNN",
        partial(_prepare, task=NAME, limit=SAMPLE),
    ),
    Row(
        "graphs_mp",
        "ms/crystal",
        f"graphs of {NEIGHBORS} neighbours, all crystals given of {MP}, start of other processes included; "
        f"pymatgen Structure.get_all_neighbors({CUTOFF:g}), sorted, as in the original CGCNN, for {SAMPLE} of them, "
        "spread evenly over all numbers of atoms",
        partial(_prepare, task=MP, limit=None),
        target=150,
    ),
)
