"""A registry in which a LoRA of one tiny backbone can be moved to another."""

from __future__ import annotations

import transplant
from registry import Registry
from tests.calibration.tiny_training import windows_of
from tests.tiny_lora import train_lora
from tests.tiny_registry import put_backbones, put_corpus
from transplant.text.splits import split_documents

RECIPE = {"steps": 30, "window": 64, "batch": 2, "train_tokens": 6000, "d_abi": 16}
CONFIG = transplant.MoveConfig(excerpts=40, donor_words=(0.0,), likely_tokens=64)


class Scene:
    """A registry with a native `tales` on tiny-llama, and a LoRA of tiny-gpt2 on tales."""

    def __init__(self, root, tiny_texts, tiny_corpus):
        self.root, self.documents = root, tiny_corpus
        put_backbones(root / "registry", tiny_texts)
        self.corpus = put_corpus(root / "tales", tiny_texts)
        self.work = self.workspace()
        self.work.train("tiny-llama", "tales", data=self.corpus,
                        config=transplant.TrainConfig(**RECIPE))  # fmt: skip
        self.base = self.work.backbone("tiny-gpt2")
        self.windows = windows_of(self.base, split_documents(tiny_corpus).train)
        self.lora = self.train(base=str(root / "registry" / "tiny-gpt2"))

    def workspace(self, **options):
        return transplant.Workspace(library=Registry.open(self.root / "registry"), **options)

    def train(self, name="lora", *, base, steps=60):
        return train_lora(self.base, self.windows, self.root / name, base=base, steps=steps)

    def move(self, tuned, donor="tiny-gpt2", work=None, **options):
        return (work or self.work).move_tuned(
            donor, str(tuned), "tiny-llama", domain="tales", domain_data=self.corpus,
            pair_on=self.corpus, config=CONFIG, **options,
        )  # fmt: skip
