"""What runs on the processor runs on a GPU as well, as far as one that is pretended can tell."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pretended_device import NAME, PRETENDED
from tests.tiny_registry import put_backbones

pytestmark = pytest.mark.skipif(os.name == "nt", reason="forks")

OWN = ("seconds", "made", "path", "file", "sha256", "module_sha256")
"""Keys whose values are those of a run, or of its last bits."""
ROUNDING = 1e-4
"""Of each number: what a GPU reads at once is read in parts on a processor, and fits follow."""
SHORT = ("--steps", "6", "--window", "64", "--batch", "2", "--tokens", "2000", "--d-abi", "16")


def run(warm_path: Path, *words: str, device: str, root: Path | None = None) -> Any:
    """What a module prints as JSON, in a process that has the device."""
    told = {} if root is None else {"ABI_REGISTRY": str(root)}
    pretended = {PRETENDED: "1"} if device == NAME else {}
    ran = subprocess.run(
        [warm_path / "abi", *words], capture_output=True, text=True, check=False,
        env={**os.environ, **told, **pretended},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def apart(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two reports tell different things."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one.keys() - {*OWN}:
            yield from apart(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, both in enumerate(zip(one, other, strict=True)):
            yield from apart(*both, f"{where}[{number}]")
    elif isinstance(one, float) and isinstance(other, float):
        if not math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING):
            yield f"{where}: {one}, {other}"
    elif one != other:
        yield f"{where}: {one}, {other}"


def test_the_device_refuses_what_a_gpu_refuses_and_nothing_else(warm_path):
    found = run(warm_path, "-m", "tests.pretended_parts", "refusals", device=NAME)
    assert {name for name, refused in found.items() if not refused} == {
        name for name in found if name.startswith("allowed")
    }
    assert len(found) == 15


def test_parts_that_meet_what_was_fitted_or_drawn_on_the_processor_compute_the_same(warm_path):
    here, there = (
        run(warm_path, "-m", "tests.pretended_parts", device, device=device)
        for device in ("cpu", NAME)
    )
    assert [*apart(here, there)] == []
    assert [*apart(here, {**there, "gate": there["gate"] + 0.01})] != []
    assert there["left_alone"][0] == ["cpu"]


def flows(corpus: str, folder: Path) -> dict[str, tuple[str, ...]]:
    """Words of `abi`, each of which needs what those before it have made."""
    text, brief = ("--data", corpus), ("--eval-tokens", "200")
    move = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", *text, "--excerpts", "12")
    acts = str(folder / "acts.h5")
    return {
        "train": ("train", "--backbone", "tiny-gpt2", "--domain", "tales", *text, *SHORT, *brief),
        "transfer": ("transfer", *move, "--domain-data", corpus, "--native", "none", *brief),
        "calibrate": (
            "calibrate", *move, "--objective", "lm+donor-kd", "--steps", "2", "--tokens", "600",
            "--name", "again",
        ),
        "capture": (
            "capture", "--backbone", "tiny-gpt2", *text, "--window", "64", "--taps",
            "block.1.mlp.in,block.1.mlp", "--out", acts,
        ),
        "extract": ("extract", "--backbone", "tiny-llama", "--name", "parts"),
        "bridge-train": (
            "bridge-train", "--from", "parts:ffn.0", "--to", "tiny-gpt2", "--layer", "1",
            "--activations", acts, "--steps", "3", "--batch", "2", "--excerpts", "10", "--mixture",
            "2", "--gate", "input", "--lm-steps", "2", "--lm-tokens", "600", *brief,
        ),
        "basis": (
            "basis", "fit", "--backbone", "tiny-llama", *text, "--tokens", "1k", "--window", "64",
            "--max-rank", "8", "--name", "own",
        ),
    }  # fmt: skip


def test_verbs_report_the_same_on_either_device(warm_path, tmp_path, tiny_texts, corpus):
    reports: dict[str, dict[str, Any]] = {}
    for device in ("cpu", NAME):
        root, folder = tmp_path / device / "registry", tmp_path / device
        put_backbones(root, tiny_texts)
        words = {n: [*one, "--device", device] for n, one in flows(corpus, folder).items()}
        (folder / "words.json").write_text(json.dumps(words))
        named = ("-m", "tests.chained_abi", str(folder / "words.json"))
        reports[device] = run(warm_path, *named, device=device, root=root)
    different = [*apart(reports["cpu"], reports[NAME])]
    assert not different, "\n".join(different)
    moved = reports[NAME]["transfer"]["module_sha256"]
    assert moved["donor"] == moved["target"]
