"""Names of files."""

from __future__ import annotations

import re


def plain_name(name: str, otherwise: str = "model") -> str:
    """A name as part of a file name: letters, digits and ``_.+-`` only.

    Args:
        name: any text.
        otherwise: the result if no such character is left.
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip(".-") or otherwise
