"""The command line: one file per command. It computes nothing."""

from __future__ import annotations


def main() -> None:
    """Entry point of the command ``crystalbench``."""
    from crystalbench.cli.app import app  # here, since it is not needed to import a part of this package

    app()
