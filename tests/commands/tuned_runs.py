"""A LoRA of one tiny backbone, and the words that move it to another."""

from __future__ import annotations

import transplant
from registry.store import Registry
from tests.calibration.tiny_training import windows_of
from tests.commands.conftest import Abi
from tests.tiny_lora import train_lora
from tests.tiny_registry import put_backbones
from transplant.text.splits import split_documents


def tuned_registry(tmp_path_factory, texts, documents, corpus):
    """A registry with the backbones and a native of tiny-llama; words that move a LoRA there."""
    root, folder = (tmp_path_factory.mktemp(name) for name in ("registry", "lora"))
    put_backbones(root, texts)
    abi = Abi(root, corpus)
    base = transplant.load("tiny-gpt2", library=Registry.open(root)).backbone
    windows = windows_of(base, split_documents(documents).train)
    train_lora(base, windows, folder, base=str(root / "tiny-gpt2"))
    assert abi.train("tiny-llama").code == 0  # the ceiling
    words = ("transfer", "--donor", "tiny-gpt2", "--tuned", str(folder), "--to", "tiny-llama",
             "--domain", "tales", "--domain-data", corpus, "--data", corpus, "--excerpts", "40",
             "--eval-tokens", "2000", "--json")  # fmt: skip
    return abi, words
