"""Fixtures that several packages' tests share: a tiny corpus and a tiny tokenizer."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is first imported

import pytest
import torch

from tests.warm_abi import warm_path  # noqa: F401  a fixture
from transplant.backbones import arithmetic
from transplant.text.documents import Document
from transplant.text.tokenizers import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

torch.set_num_threads(1)
# A suite that was started in the background ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

DOCUMENTS = 60
SYLLABLES = ("ba", "cor", "den", "fi", "gral", "hu", "jo", "kel", "mi", "nor", "pas", "ru", "ti")
LINKS = ("and", "or", "of", "with", "under", "before", "after", "because of")


def write_document(seed: int) -> str:
    """About 600 characters of sentences in made-up words; other seeds share almost no 5-gram."""
    draw = random.Random(seed)

    def word() -> str:
        return "".join(draw.choices(SYLLABLES, k=draw.randint(1, 3)))

    def sentence() -> str:
        verb, link = word() + "s", draw.choice(LINKS)
        return (
            f"The {word()} {word()} {verb} a {word()} {link} the {word()} {draw.randint(1, 999)}."
        )

    return " ".join(sentence() for _ in range(15))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is read of corpora is kept for this run alone, and shared by its workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["ABI_CACHE"] = str(shared / "cache")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Draws without a generator are the same in any order of the tests."""
    torch.manual_seed(0)


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the processor multiply bfloat16, natively or not."""
    able = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)


@pytest.fixture(scope="session")
def tiny_texts() -> tuple[str, ...]:
    """The texts of the tiny corpus: synthetic, each distinct."""
    return tuple(write_document(seed) for seed in range(DOCUMENTS))


@pytest.fixture(scope="session")
def tiny_corpus(tiny_texts: tuple[str, ...]) -> tuple[Document, ...]:
    """About 60 documents, enough for every side of a split."""
    return tuple(Document(text, f"tiny/{number}") for number, text in enumerate(tiny_texts))


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_texts: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """Byte-level BPE of 320 entries, trained on the tiny corpus."""
    return train_tokenizer("bpe", tiny_texts, 320, context=128)


@pytest.fixture
def any_arithmetic(monkeypatch):
    """Products of any type are taken: a processor may lack instructions for those of 16 bits."""
    monkeypatch.setattr(arithmetic, "multiplies", lambda *_: True)
