"""``python -m crystalbench``."""

from __future__ import annotations

from crystalbench.cli import main

if __name__ == "__main__":
    main()
