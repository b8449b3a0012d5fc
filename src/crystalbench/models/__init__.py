"""Models: the interface, the registry, saving and loading, and a file or folder for each family.

The model classes can be imported from here, and are loaded when they are first used: importing this package does not
import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crystalbench.models.hyperparameters import ActsIf, OneOf, search_space
from crystalbench.models.model import Embeds, Invariance, Model, Needs, Runtime, Sees
from crystalbench.models.names import GROUP
from crystalbench.models.registry import get_model, model_names
from crystalbench.models.saving import load_model, save_model

if TYPE_CHECKING:
    from crystalbench.models.adaptors.pyg import PyGModel
    from crystalbench.models.cgcnn import CGCNN
    from crystalbench.models.composition_attention import CompositionAttention
    from crystalbench.models.diffraction.deepknet import DeepKNet, DeepKNetSphere
    from crystalbench.models.diffraction.grid import DiffractionGrid
    from crystalbench.models.diffraction.spectrum import DiffractionSpectrum
    from crystalbench.models.dummy import Dummy
    from crystalbench.models.e3nn_network import E3NN
    from crystalbench.models.forests.composition import CompositionForest
    from crystalbench.models.forests.descriptors import DescriptorBoosting, DescriptorForest, DescriptorRandomForest
    from crystalbench.models.forests.magpie import MagpieBoosting, MagpieForest, MagpieRandomForest
    from crystalbench.models.hybrid import Hybrid, HybridDiffraction, HybridNested, HybridSEN, WithDescriptors
    from crystalbench.models.nested import Nested
    from crystalbench.models.network import NetworkModel
    from crystalbench.models.painn import PaiNN
    from crystalbench.models.potentials.forest import PotentialForest
    from crystalbench.models.potentials.hybrid import HybridPotential
    from crystalbench.models.potentials.zero_shot import ZeroShot
    from crystalbench.models.schnet import SchNet
    from crystalbench.models.sen import SEN
    from crystalbench.models.sen_published.model import SENPublished
    from crystalbench.models.stack import CompositionStack, Stack

_LAZY = {
    "adaptors.pyg": ("PyGModel",),
    "cgcnn": ("CGCNN",),
    "composition_attention": ("CompositionAttention",),
    "diffraction.deepknet": ("DeepKNet", "DeepKNetSphere"),
    "diffraction.grid": ("DiffractionGrid",),
    "diffraction.spectrum": ("DiffractionSpectrum",),
    "dummy": ("Dummy",),
    "e3nn_network": ("E3NN",),
    "forests.composition": ("CompositionForest",),
    "forests.descriptors": ("DescriptorBoosting", "DescriptorForest", "DescriptorRandomForest"),
    "forests.magpie": ("MagpieBoosting", "MagpieForest", "MagpieRandomForest"),
    "hybrid": ("Hybrid", "HybridDiffraction", "HybridNested", "HybridSEN", "WithDescriptors"),
    "nested": ("Nested",),
    "network": ("NetworkModel",),
    "painn": ("PaiNN",),
    "potentials.forest": ("PotentialForest",),
    "potentials.hybrid": ("HybridPotential",),
    "potentials.zero_shot": ("ZeroShot",),
    "schnet": ("SchNet",),
    "sen": ("SEN",),
    "sen_published.model": ("SENPublished",),
    "stack": ("CompositionStack", "Stack"),
}
_MODULES = {name: f"{__name__}.{module}" for module, names in _LAZY.items() for name in names}

__all__ = [
    "CGCNN",
    "E3NN",
    "GROUP",
    "SEN",
    "ActsIf",
    "CompositionAttention",
    "CompositionForest",
    "CompositionStack",
    "DeepKNet",
    "DeepKNetSphere",
    "DescriptorBoosting",
    "DescriptorForest",
    "DescriptorRandomForest",
    "DiffractionGrid",
    "DiffractionSpectrum",
    "Dummy",
    "Embeds",
    "Hybrid",
    "HybridDiffraction",
    "HybridNested",
    "HybridPotential",
    "HybridSEN",
    "Invariance",
    "MagpieBoosting",
    "MagpieForest",
    "MagpieRandomForest",
    "Model",
    "Needs",
    "Nested",
    "NetworkModel",
    "OneOf",
    "PaiNN",
    "PotentialForest",
    "PyGModel",
    "Runtime",
    "SENPublished",
    "SchNet",
    "Sees",
    "Stack",
    "WithDescriptors",
    "ZeroShot",
    "get_model",
    "load_model",
    "model_names",
    "save_model",
    "search_space",
]


def __getattr__(name: str) -> Any:
    """Import a model class when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
