"""A basis of tiny-llama, fitted by the verb."""

from __future__ import annotations

from typing import Any

from tests.commands.conftest import Abi

FIT = ("--tokens", "3k", "--window", "64", "--max-rank", "16")


def fit_named(abi: Abi, corpus: str, name: str, *words: str) -> tuple[Abi, dict[str, Any]]:
    """The registry with a basis of that name, and the report."""
    fit = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, "--name", name, *FIT)
    ran = abi(*fit, *words, "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json
