"""Layers whose statistics need single precision are computed in it also where a caller asks for mixed precision."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor


def without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[None]:
    """A context without torch's automatic mixed precision on the device of a tensor."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device):
        return contextlib.nullcontext()
    return torch.autocast(device, enabled=False)
