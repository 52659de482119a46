"""Short runs of the verbs of cores, and what they left."""

from __future__ import annotations

import shutil
from typing import Any

from safetensors.torch import load_file

import transplant
from registry.store import Registry
from tests.commands.conftest import Abi
from transplant.backbones.fingerprint import hash_tensors
from transplant.progress import Course

SHORT = ("--vocab", "320", "--window", "32", "--batch", "2", "--eval-tokens", "64", "--json")


MODULE = ("--steps", "8", "--window", "32", "--batch", "2", "--tokens", "2000")


MOVE = ("--module", "tales@2M-tales", "--to", "other", "--excerpts", "20", "--eval-tokens", "64")


def train_core(abi, *more, steps=3):
    words = ("train-core", "--size", "2M", "--data", abi.corpus, "--tokens", str(steps * 2 * 32))
    return abi(*words, *SHORT, *more)


def train_inside(abi, core, form, *more):
    words = ("train", "--backbone", core, "--form", form, "--domain", "tales")
    return abi(*words, *MODULE, "--data", abi.corpus, "--eval-tokens", "64", "--json", *more)


def shown(abi, name):
    return abi("show", name, "--json", "--verify").json


def tensors_of(abi, name):
    return load_file(abi.root / name / "model.safetensors")


def hosted_in(abi, name) -> Any:
    return transplant.load(name, library=Registry.open(abi.root))


def module_sha(hosted):
    return hash_tensors(hosted.correction.module.state_dict())


def files_in(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def copy_of(stored, tmp_path):
    abi, _ = stored
    shutil.copytree(abi.root, tmp_path / "registry")
    return Abi(tmp_path / "registry", abi.corpus)


def stop_at(monkeypatch, step):
    """Ctrl-C, as the progress line of one step is drawn."""

    def press(_line, done, _total, _note):
        if done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Course, "__call__", press)
