"""Every shell script in examples/ runs from start to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_registry import put_backbones, put_corpus

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.sh")} == {"move_a_module.sh"}


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_move_a_module(tmp_path, tiny_texts):
    put_backbones(tmp_path / "registry", tiny_texts)
    corpus = put_corpus(tmp_path / "corpus", tiny_texts)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ABI_REGISTRY": str(tmp_path / "registry"),
        "DONOR": "tiny-gpt2",
        "TARGET": "tiny-llama",
        "DOMAIN": "tales",
        "DATA": corpus,
        "PAIRS": corpus,
        "TRAIN": "--steps 20 --window 64 --batch 2 --tokens 6000 --d-abi 16",
        "NIB": "--chunk-length 40 --skip 4",
        "OUT": str(tmp_path / "transfer.json"),
    }
    script = EXAMPLES / "move_a_module.sh"
    ran = subprocess.run([script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "transfer.json").read_text())
    assert report["module_sha256"]["donor"] == report["module_sha256"]["target"]
    assert "tales-from-tiny-gpt2" in ran.stdout
