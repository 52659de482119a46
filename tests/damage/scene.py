"""One registry with an artifact of every kind, each made by its verb from tiny models and text."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from commands.app import app
from tests.conftest import write_document
from tests.surgery.lora.folders import write_folder
from tests.tiny import tiny_model
from tests.tiny_gguf import write_gguf
from tests.tiny_registry import put_backbones, put_corpus
from transplant.text.tokenizers import train_tokenizer
from transplant.training import pretrain
from transplant.training.checkpoint import Checkpoint, CheckpointFile

TEXTS = tuple(write_document(seed) for seed in range(60))
NUMBERS = tuple(" ".join(str((7 * n + k) ** 2 % 997) for k in range(150)) for n in range(60))
WINDOW = ("--window", "32", "--batch", "2", "--tokens", "2000", "--eval-tokens", "200")
TRAIN = (*WINDOW, "--steps", "6", "--d-abi", "8")
CORE = ("--size", "2M", "--vocab", "320", "--window", "32", "--batch", "2", "--eval-tokens", "64")
CHUNKS = ("--chunk-length", "40", "--chunks", "2", "--skip", "4")


@dataclass(frozen=True)
class Ran:
    """What a verb left: its exit code, what it printed as JSON, and what it raised."""

    code: int
    json: Any
    raised: str | None
    err: str


@dataclass(frozen=True)
class Scene:
    """A folder `base` with a registry, text and captured files; words name them by {base}."""

    base: Path

    @property
    def root(self) -> Path:
        """The registry."""
        return self.base / "registry"

    def __call__(self, *words: str) -> Ran:
        """Runs a verb with `--json` in this process."""
        said = [word.format(base=self.base) for word in words]
        environment = {"ABI_REGISTRY": str(self.root), "HF_HUB_OFFLINE": "1"}
        result = CliRunner().invoke(app, [*said, "--json"], env=environment)
        raised = result.exception
        known = raised is None or isinstance(raised, SystemExit)
        try:
            found = json.loads(result.stdout)
        except ValueError:
            found = None
        return Ran(result.exit_code, found, None if known else repr(raised), result.stderr)

    def must(self, *words: str) -> Any:
        """Runs a verb that has to succeed."""
        ran = self(*words)
        assert ran.code == 0, (words, ran)
        return ran.json


STORED = {
    "module": ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", "{base}/tales",
               *TRAIN),
    "second": ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", "{base}/numbers",
               "--name", "numbers", *TRAIN),
    "bridge": ("bridge-align", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data",
               "{base}/tales", "--excerpts", "20"),
    "fusion": ("fuse", "tales@tiny-gpt2", "numbers@tiny-gpt2", "--steps", "4", *WINDOW[:2],
               "--tokens", "2000", "--eval-tokens", "200"),
    "gate": ("gate", "--module", "tales@tiny-gpt2", "--general", "{base}/numbers",
             "--eval-tokens", "400", "--tokens", "2000", "--most-worse", "50"),
    "bank": ("extract", "--backbone", "tiny-llama", "--name", "pieces", "--components",
             "ffn,embeddings"),
    "injection": ("inject", "--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "1", "--data",
                  "{base}/tales", "--excerpts", "20", "--start", "fit", "--open", "1.5"),
    "bridge of parts": ("bridge-align", "--between", "tiny-gpt2:block.1.mlp.in",
                        "tiny-llama:block.0.mlp.in", "--data", "{base}/tales", "--excerpts", "20",
                        "--name", "layers"),
    "adapter": ("adapters", "--import", "{base}/law", "--to", "tiny-gpt2"),
    "tokens": ("tokenize-align", "--from", "tiny-gpt2", "--to", "tiny-llama", "--data",
               "{base}/tales"),
    "core": ("train-core", *CORE, "--data", "{base}/tales", "--tokens", "128"),
    "other core": ("train-core", *CORE, "--data", "{base}/tales", "--tokens", "128", "--name",
                   "other", "--tokenizer", "2M", "--seed", "1"),
    "module inside a core": ("train", "--backbone", "2M", "--form", "lite", "--domain", "tales",
                             "--data", "{base}/tales", "--steps", "2", *WINDOW),
    "pasted core": ("paste", "--from", "2M-tales", "--to", "other", "--name", "pasted"),
    "capture": ("capture", "--backbone", "tiny-gpt2", "--data", "{base}/tales", "--window", "32",
                "--taps", "all", "--out", "{base}/gpt2.h5", "--max-tokens", "4000"),
    "second capture": ("capture", "--backbone", "tiny-llama", "--data", "{base}/tales", "--window",
                       "32", "--taps", "all", "--out", "{base}/llama.h5", "--max-tokens", "4000"),
}  # fmt: skip
"""By what it makes: the words of the verb, in the order in which they are run."""

STOPPED = {
    "train": ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", "{base}/tales",
              "--name", "stopped", *TRAIN, "--steps", "60"),
    "train-core": ("train-core", *CORE, "--data", "{base}/tales", "--tokens", "384", "--name",
                   "stopped-core"),
}  # fmt: skip
"""Runs that are stopped half-way, so that a checkpoint of each lies in the registry."""


def build(base: Path, kinds: Collection[str] = STORED, *, stopped: bool = True) -> Scene:
    """Makes `kinds` of STORED, and everything in STOPPED where `stopped` is set."""
    scene = Scene(base)
    put_corpus(base / "tales", TEXTS)
    put_corpus(base / "numbers", NUMBERS)
    write_folder(base / "law")
    put_backbones(scene.root, TEXTS)
    put_sources(base)
    for kind in kinds:
        scene.must(*STORED[kind])
    for words in STOPPED.values() if stopped else ():
        with stopped_after_a_checkpoint():
            assert "--resume continues" in scene(*words).err
    return scene


def put_sources(base: Path) -> None:
    """Saves a backbone that no registry has: the folder `mine`, and, with gguf, `tiny.gguf`."""
    tokenizer = train_tokenizer("bpe", TEXTS, 320, context=128)
    tiny_model("llama", tokenizer, seed=5).save_pretrained(base / "mine")
    tokenizer.save_pretrained(base / "mine")
    if find_spec("gguf"):
        write_gguf(base / "tiny.gguf", tokenizer)


@contextmanager
def frequent_checkpoints() -> Iterator[None]:
    """A core's training keeps its state every three steps."""
    every, pretrain.SAVE_EVERY = pretrain.SAVE_EVERY, 3
    try:
        yield
    finally:
        pretrain.SAVE_EVERY = every


@contextmanager
def stopped_after_a_checkpoint() -> Iterator[None]:
    """A Ctrl-C as soon as a first checkpoint is whole."""
    save = CheckpointFile.save

    def save_and_stop(file: CheckpointFile, checkpoint: Checkpoint) -> None:
        save(file, checkpoint)
        raise KeyboardInterrupt

    CheckpointFile.save = save_and_stop  # type: ignore[method-assign]
    try:
        with frequent_checkpoints():
            yield
    finally:
        CheckpointFile.save = save  # type: ignore[method-assign]


def keep(scene: Scene) -> Path:
    """Puts a copy of the whole scene aside, for `restore`."""
    return shutil.copytree(scene.base, scene.base.with_name(f"{scene.base.name}.kept"))


def restore(scene: Scene, kept: Path) -> None:
    """Puts everything back as it was, as links: no verb writes into a file that it did not make."""
    shutil.rmtree(scene.base, ignore_errors=True)
    shutil.copytree(kept, scene.base, copy_function=os.link)
