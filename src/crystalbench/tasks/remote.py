"""Files that a task can be downloaded from, as declared by its `TaskSpec`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from crystalbench.errors import ConfigError


@dataclass(frozen=True)
class RemoteFile:
    """A file with data that can be downloaded.

    Attributes:
        name: path of the file in the data folder, e.g. ``matbench_phonons.json.gz``; relative, with ``/``.
        urls: one or more addresses of the file (``http`` or ``https``), tried in this order.
        sha256: SHA-256 of the file, 64 hexadecimal digits in lower case.

    Raises:
        ConfigError: the name is not a relative path, an address or the checksum has another form, or there is no
            address.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if not path.name or path.is_absolute() or ".." in path.parts or "\\" in self.name:
            raise ConfigError(f"remote file {self.name!r}: the name must be a relative path such as 'gaps.csv'")
        if not self.urls:
            raise ConfigError(f"remote file {self.name!r}: give at least one address")
        if wrong := [url for url in self.urls if not re.match(r"https?://[^/\s]+/\S*$", url)]:
            raise ConfigError(f"remote file {self.name!r}: {wrong[0]!r} is not an http or https address")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ConfigError(
                f"remote file {self.name!r}: {self.sha256!r} is not a SHA-256 (64 hexadecimal digits in lower case)"
            )
