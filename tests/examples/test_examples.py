"""Every shell script in examples/ runs from start to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.tiny_registry import put_backbones, put_corpus

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.sh")} == {
        "grow_two_cores.sh",
        "move_a_module.sh",
        "paste_a_module.sh",
        "transplant.sh",
    }


@pytest.fixture
def run(warm_path):
    """Runs a script in a folder, with variables."""
    return partial(run_example, warm_path)


def run_example(
    program: Path, script: str, folder: Path, options: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{program}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ABI_REGISTRY": str(folder / "registry"),
        **options,
    }
    command = [EXAMPLES / script]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_move_a_module(run, tmp_path, tiny_texts):
    put_backbones(tmp_path / "registry", tiny_texts)
    corpus = put_corpus(tmp_path / "corpus", tiny_texts)
    ran = run("move_a_module.sh", tmp_path, {
        "DONOR": "tiny-gpt2",
        "TARGET": "tiny-llama",
        "DOMAIN": "tales",
        "DATA": corpus,
        "PAIRS": corpus,
        "TRAIN": "--steps 20 --window 64 --batch 2 --tokens 6000 --d-abi 16",
        "NIB": "--chunk-length 40 --skip 4",
        "OUT": str(tmp_path / "transfer.json"),
    })  # fmt: skip
    report = json.loads((tmp_path / "transfer.json").read_text())
    assert report["module_sha256"]["donor"] == report["module_sha256"]["target"]
    assert "tales-from-tiny-gpt2" in ran.stdout


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_transplant(run, tmp_path, tiny_texts):
    put_backbones(tmp_path / "registry", tiny_texts)
    ran = run("transplant.sh", tmp_path, {
        "DONOR": "tiny-llama",
        "TARGET": "tiny-gpt2",
        "PART": "0",
        "LAYER": "1",
        "DATA": put_corpus(tmp_path / "corpus", tiny_texts),
        "CAPTURE": "--window 64",
        "TRAIN": "--steps 20 --batch 4 --excerpts 20 --lm-steps 4 --lm-tokens 2000 "
                 "--eval-tokens 400",
        "NIB": "--chunk-length 40 --skip 4",
    })  # fmt: skip
    assert "probe" in ran.stdout
    assert '"cosine_after"' in ran.stdout


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_paste_a_module(run, tmp_path):
    ran = run("paste_a_module.sh", tmp_path, {})
    assert ran.stdout.rstrip().endswith("pass")
    assert (tmp_path / "pasted" / "model.safetensors").is_file()


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_grow_two_cores(run, tmp_path, tiny_texts):
    corpus = put_corpus(tmp_path / "corpus", tiny_texts)
    few = "--window 32 --batch 2"
    ran = run("grow_two_cores.sh", tmp_path, {
        "DATA": corpus,
        "DOMAIN": "tales",
        "DOMAIN_DATA": corpus,
        "TOKENS": "6000",
        "GAMES": "40",
        "CORE_OPTIONS": "--window 32 --batch 8 --learning-rate 0.005 --eval-tokens 64",
        "TRAIN_OPTIONS": f"{few} --steps 40 --learning-rate 0.03 --tokens 4096 --eval-tokens 400",
        "MOVE_OPTIONS": f"--data {corpus} --excerpts 12 --eval-tokens 400",
    })  # fmt: skip
    for said in ("core-a-plain", "chess@core-a", "pass", "pasted", "identical"):
        assert said in ran.stdout
