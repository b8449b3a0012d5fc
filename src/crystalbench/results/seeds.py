"""The function that derives all random seeds."""

from __future__ import annotations

import hashlib

LARGEST = 2**32


def derived_seed(*parts: int | str, below: int = 2**31) -> int:
    """A seed in [0, below) that depends on the parts alone and is the same on every machine.

    Args:
        *parts: the purpose of the seed, e.g. the key of a run and the number of an ensemble member.
        below: exclusive upper bound, at most 2^32.
    """
    text = ":".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % below
