from __future__ import annotations

import importlib.metadata

import pytest

from crystalbench.runs.environment import OPTIONAL_PACKAGES, PACKAGES, environment


def test_optional_packages_are_recorded_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    found = environment.__wrapped__()["packages"]
    assert found == {name: version(name) for name in (*PACKAGES, *OPTIONAL_PACKAGES)}

    def without_extras(name: str) -> str:
        if name in OPTIONAL_PACKAGES:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_extras)
    assert set(environment.__wrapped__()["packages"]) == set(PACKAGES)
