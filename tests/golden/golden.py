"""Golden numbers: predictions of every model and arrays of every representation on small embedded data.

The numbers are pinned in ``models.json`` and ``representations.json``, with the version of each class. If numbers
change without a new version, ``test_golden.py`` fails. After increasing a version, pin the new numbers with::

    python tests/golden/golden.py pin

which keeps the numbers of classes whose version has not changed. ``python tests/golden/golden.py digest`` prints hashes
of the exact bytes, to check on one machine that a refactoring changes no bit.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.samples import Samples
from crystalbench.models import get_model, model_names
from crystalbench.models.hyperparameters import hyperparameter_types
from crystalbench.models.model import Needs, Runtime
from crystalbench.models.network import NetworkModel
from crystalbench.representations import (
    Arrays,
    AtomSites,
    CrystalGraph,
    DescriptorBank,
    DiffractionPattern,
    DiffractionPowerSpectrum,
    ElementContents,
    ElementPairs,
    MagpieFeatures,
    NestedGraph,
    OrbitGraph,
    PeriodicGraph,
    QuotientGraph,
    Representation,
    SpaceGroupNumbers,
    SphereGraph,
    WeightedGraph,
)
from crystalbench.sees import Sees
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Task, get_task_spec
from crystalbench.testing.crystals import known_structures, random_crystals

FOLDER = Path(__file__).parent
MODELS_FILE, REPRESENTATIONS_FILE = FOLDER / "models.json", FOLDER / "representations.json"

TASKS = {
    Kind.REGRESSION: "demo_formation_energy",
    Kind.BINARY: "demo_dynamically_stable",
    Kind.MULTICLASS: "demo_crystal_system",
}
ROWS = 64
TESTED = 12
"""Rows of the test part whose predictions are pinned."""

SMALL: dict[str, Any] = {
    "epochs": 3,
    "width": 16,
    "channels": 8,
    "capsules": 4,
    "head_width": 16,
    "batch_size": 16,
    "trees": 20,
    "rounds": 20,
    "columns": "cell",
}
"""Hyperparameters of the short fits, for the models that have them; the others keep their defaults."""

NO_TRAINING: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
"""A fit that keeps the initial weights of a network, and only collects the statistics of normalisations."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "cgcnn (sum)": ("cgcnn", {"readout": "sum"}),
    "deepknet (sphere)": ("deepknet_sphere", {"intensities": "absences"}),
    "descriptor_forest (gong28)": ("descriptor_forest", {"bank": "gong28"}),
}
"""Configurations in addition to the defaults: model and hyperparameters by title."""

STACKS: dict[str, dict[str, Any]] = {
    "composition_stack": {"members": "composition_forest(trees=20) + magpie_boosting(rounds=20)"},
    "stack": {"members": "descriptor_forest(trees=20) + magpie_forest(trees=20)"},
}
"""Members of the stacks: trees, whose predictions do not depend on the processor."""

REPRESENTATIONS: dict[str, Representation] = {
    "CrystalGraph": CrystalGraph(),
    "CrystalGraph with vectors": CrystalGraph(neighbors=6, vectors=True),
    "SphereGraph": SphereGraph(),
    "AtomSites": AtomSites(),
    "SpaceGroupNumbers": SpaceGroupNumbers(),
    "NestedGraph": NestedGraph(),
    "OrbitGraph": OrbitGraph(),
    "PeriodicGraph": PeriodicGraph(),
    "QuotientGraph of CrystalGraph": QuotientGraph(),
    "QuotientGraph of SphereGraph": QuotientGraph(graph=SphereGraph()),
    "WeightedGraph": WeightedGraph(),
    "QuotientGraph of WeightedGraph": QuotientGraph(graph=WeightedGraph()),
    "DescriptorBank gong28": DescriptorBank("gong28"),
    "DescriptorBank rich": DescriptorBank("rich"),
    "DescriptorBank atom_count": DescriptorBank("atom_count"),
    "DiffractionPattern": DiffractionPattern(),
    "DiffractionPattern in a sphere": DiffractionPattern(points="sphere", scattering="neutron", cell="conventional"),
    "DiffractionPowerSpectrum": DiffractionPowerSpectrum(),
    "DiffractionPowerSpectrum of absences": DiffractionPowerSpectrum(shells=16, l_max=8, intensities="absences"),
    "MagpieFeatures": MagpieFeatures(),
    "ElementPairs": ElementPairs(),
    "ElementContents": ElementContents(vectors=True),
}

SIGNIFICANT = 7
"""Digits of pinned numbers."""


# ---------------------------------------------------------------------- models


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Model and hyperparameters of every case: all registered models with their defaults, and the variants."""
    return {name: (name, STACKS.get(name, {})) for name in model_names()} | VARIANTS


@lru_cache
def _task(kind: Kind) -> Task:
    return get_task_spec(TASKS[kind]).load(DataSources(limit=ROWS, download=False))


def stages_of(title: str) -> tuple[str, ...]:
    """The pinned stages of a case: ``fit``, a short fit; for networks also ``start``, before training.

    Training amplifies round-off: AdamW turns a gradient that is zero up to round-off into a step of full size. So the
    predictions of a short fit have a large tolerance, and those of untrained networks a small one.
    """
    return ("start", "fit") if issubclass(get_model(cases()[title][0]), NetworkModel) else ("fit",)


def sees_potential(title: str) -> bool:
    """Whether a case reads what a pretrained potential computes, in single precision."""
    name, parameters = cases()[title]
    return get_model(name).from_configuration(parameters).sees is Sees.PRETRAINED


def inputs_of(title: str) -> str:
    """A name that cases with the same expensive inputs share."""
    bank = getattr(get_model(cases()[title][0]).from_configuration(cases()[title][1]), "bank", None)
    return "potential" if sees_potential(title) else title if bank is None else f"bank {bank}"


_computed: dict[tuple[str, str], Arrays] = {}


def _arrays(representation: Representation, inputs: Crystals | Compositions) -> Arrays:
    """A representation of all rows of a task, computed once."""
    key = representation.key, inputs.digest
    if key not in _computed:
        _computed[key] = representation(inputs)
    return _computed[key]


def predictions(title: str, kind: Kind, stage: str = "fit") -> npt.NDArray[np.float64]:
    """Predictions (rows, outputs) of a fit with fixed seed on an embedded task of this kind."""
    name, given = cases()[title]
    given = given | (NO_TRAINING if stage == "start" else {})
    model_class = get_model(name)
    known = hyperparameter_types(model_class)
    model = model_class.from_configuration({k: v for k, v in (SMALL | given).items() if k in known})
    model.runtime = Runtime(seed=20_26)
    task = _task(kind)
    train, test = task.split(0)
    inputs = task.inputs
    assert isinstance(inputs, Crystals)
    seen = inputs.compositions() if model_class.needs is Needs.COMPOSITION else inputs
    valid = np.arange(len(train)) % 5 == 0

    def represent(representation: Representation, chosen: npt.NDArray[np.int64]) -> Arrays:
        return _arrays(representation, seen)[chosen]

    def samples(rows: npt.NDArray[np.int64]) -> Samples:
        return Samples(seen[rows], task.target, task.targets[rows], represent=represent, rows=rows)

    model.fit(samples(train[~valid]), samples(train[valid]))
    predicted = model.predict(samples(test[:TESTED]).to_predict())
    return predicted.values.reshape(len(predicted.values), -1)


def kinds_of(title: str) -> list[Kind]:
    """The kinds of target that a case predicts."""
    name, given = cases()[title]
    model = get_model(name).from_configuration(given)
    return [kind for kind in Kind if model.supports(kind)]


def model_version(title: str) -> int:
    """The version of the model of a case."""
    return get_model(cases()[title][0]).version


# ---------------------------------------------------------------------- representations


@lru_cache
def crystals() -> Crystals:
    """Known structures and random ones, the latter without any symmetry."""
    return concatenate([known_structures(), random_crystals(5, 7, largest_z=60)])


def arrays_of(title: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a representation by name, offsets included."""
    arrays = REPRESENTATIONS[title](crystals())
    return dict(arrays.values) | {f"offsets of {level}": offsets for level, offsets in arrays.offsets.items()}


def summary(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Type, shape, size, missing values, and a weighted sum that depends on every value and its position."""
    flat = array.reshape(-1).astype(np.float64)
    weights = np.cos(np.arange(len(flat)))
    known = np.nan_to_num(flat, nan=0.0)
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "missing": int(np.isnan(flat).sum()),
        "size": _rounded(np.abs(known).sum()),
        "sum": _rounded(known @ weights),
    }


def _rounded(value: Any) -> float:
    return float(f"{float(value):.{SIGNIFICANT}g}")


# ---------------------------------------------------------------------- pinning


def pinned(file: Path) -> dict[str, Any]:
    """The content of a golden file."""
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def computed_models() -> dict[str, Any]:
    """Versions and predictions of all models."""
    return {
        title: {
            "version": model_version(title),
            **{
                f"{kind} {stage}": [[_rounded(v) for v in row] for row in predictions(title, kind, stage)]
                for kind in kinds_of(title)
                for stage in stages_of(title)
            },
        }
        for title in cases()
    }


def computed_representations() -> dict[str, Any]:
    """Versions and summaries of all representations."""
    return {
        title: {
            "version": representation.version,
            "arrays": {name: summary(array) for name, array in sorted(arrays_of(title).items())},
        }
        for title, representation in REPRESENTATIONS.items()
    }


def updated(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Golden numbers to pin: new ones if the version is new or nothing was pinned, otherwise the old ones."""
    return {
        title: before[title] if title in before and before[title]["version"] == entry["version"] else entry
        for title, entry in now.items()
    }


def _pin() -> None:
    for file, compute in ((MODELS_FILE, computed_models), (REPRESENTATIONS_FILE, computed_representations)):
        lines = [
            f"{json.dumps(title)}: {json.dumps(entry)}" for title, entry in updated(pinned(file), compute()).items()
        ]
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _print_digests() -> None:
    for title in cases():
        for kind in kinds_of(title):
            print(title, kind, hashlib.sha256(predictions(title, kind).tobytes()).hexdigest()[:16])
    for title in REPRESENTATIONS:
        parts = [array.tobytes() for _, array in sorted(arrays_of(title).items())]
        print(title, hashlib.sha256(b"".join(parts)).hexdigest()[:16])


if __name__ == "__main__":
    {"pin": _pin, "digest": _print_digests}[sys.argv[1]]()
