"""Backbones in folders with something of each kind hosted on them, and what loads it."""

from __future__ import annotations

import pytest
from transformers.utils import logging

import transplant
from tests.workflows.export.hosted_things import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    logging.disable_progress_bar()
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


@pytest.fixture(scope="module")
def loaded(shelf):
    """Loads something of a kind; each call a new one."""
    gpt2 = shelf.backbone("gpt2", tie_word_embeddings=True)
    names = {
        "raw": gpt2.name, "module": shelf.module(gpt2, "tales", taps=(0, -1)),
        "linear": shelf.linear(gpt2, "law", taps=(0, 1, 2)), "adapter": shelf.adapter(gpt2, "lora"),
        "core": f"tales@{shelf.backbone('layercake').name}",
        "t5": shelf.module(shelf.backbone("t5"), "tales"),
    }  # fmt: skip

    def load(kind="module", **options):
        return transplant.load(names[kind], library=shelf.work.library, **options)

    return load


@pytest.fixture
def model(loaded):
    return loaded()
