"""A registry of tiny backbones and a corpus of files, on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from commands.output import Output
from commands.session import open_session
from registry.store import Registry
from tests.tiny import tiny_backbone
from transplant.text.tokenizers import train_tokenizer
from transplant.training.config import TrainConfig
from transplant.workflows.train.reference import save_reference
from transplant.workspace import Workspace


def put_backbones(root: Path, texts: tuple[str, ...]) -> None:
    """Saves tiny-gpt2, tiny-llama and tiny-t5, each with a tokenizer of its own kind."""
    work = open_session("test", Output(quiet=True), root)
    library = Registry(root, reference=root / ".none")
    for family, kind, size in (
        ("gpt2", "bpe", 330), ("llama", "bpe-digits", 350), ("t5", "unigram", 400),
    ):  # fmt: skip
        backbone = tiny_backbone(family, train_tokenizer(kind, texts, size, context=128))
        save_reference(work, backbone, library, {"split": "none"})


def tiny_workspace(
    root: Path, texts: tuple[str, ...], trained: Iterable[str], recipe: TrainConfig
) -> tuple[Workspace, str]:
    """A workspace on such a registry, with a module `tales` on some backbones, and its corpus.

    Args:
        root: a folder for both.
        texts: of the corpus and of the tokenizers.
        trained: the backbones.
        recipe: of the modules.
    """
    put_backbones(root / "registry", texts)
    corpus = put_corpus(root / "tales", texts)
    work = Workspace(library=Registry.open(root / "registry"))
    for backbone in trained:
        work.train(backbone, "tales", data=corpus, config=recipe)
    return work, corpus


def put_corpus(folder: Path, texts: tuple[str, ...]) -> str:
    """Writes one file for each text and returns the folder."""
    folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)
    return str(folder)
