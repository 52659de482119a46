"""A registry with an empty shipped part, and a manifest to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry import BackboneRecord, Manifest, Registry


@pytest.fixture
def make() -> Callable[..., Manifest]:
    def build(*, backbone: str = "ref-gpt2", **fields: Any) -> Manifest:
        record = BackboneRecord(
            id=backbone, family="gpt2", d_model=8, weights_sha256="w", tokenizer_sha256="t"
        )
        defaults: dict[str, Any] = {"name": "python", "kind": "module", "d_abi": 4}
        return Manifest(**{**defaults, **fields}, backbone=record)

    return build


@pytest.fixture
def store(tmp_path: Path) -> Registry:
    reference = tmp_path / "reference"
    reference.mkdir()
    return Registry(tmp_path / "root", reference)
