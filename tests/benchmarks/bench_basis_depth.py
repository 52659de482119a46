"""Memory and seconds of BASIS with one layer in memory, by depth, and what they say of 70 B.

    python tests/benchmarks/bench_basis_depth.py [--depths 4 8 16] [--whole 4] [--out FILE] \
        [--directions gradients]

Models of one shape and several depths, of random weights, are written to a scratch folder; `abi
basis fit` and `abi basis allocate` (Fisher) read each with `--layer-at-a-time`, in processes of
their own, whose peak memory is what the system says of them, with and without the pages of mapped
files. `--whole` does the same with all layers in memory. The plan for 70 B is arithmetic: the bytes
of its shape, and seconds by the rates of here (with OMP_NUM_THREADS=1, of one core). Directions of
gradients are fitted in narrower models, to fewer tokens, which are read as the text to keep, too;
their ranks need no passes, and nothing is planned by them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from registry import REFERENCE
from tests.benchmarks.own_process import run_alone
from transplant.basis.config import DIRECTIONS, GRADIENTS, OUTPUTS
from transplant.basis.maps import LinearMap
from transplant.basis.output_moments import statistics_bytes
from transplant.files.results import write_json

WIDTH, INNER, HEADS = 768, 2048, 12
SHAPES = {OUTPUTS: (WIDTH, INNER, HEADS), GRADIENTS: (384, 1024, 6)}
TOKENS, WINDOW, RANK = 8_192, 256, 128
FISHER_TOKENS = GRADIENT_TOKENS = 2_048
PLAN = {
    "layers": 80, "width": 8192, "inner": 28_672, "key_value": 1024, "vocabulary": 128_256,
    "tokens": 200_000, "fisher_tokens": 20_000, "rank": 256,
}  # fmt: skip
"""The shape of Llama 3 70B, and what would be read."""
SUMS = (
    4  # moments of a layer, each [width, width]: of what q, k, v and gate, up read, of o and down
)


def main() -> int:
    """Measures what was asked for and writes the result file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--whole", type=int, nargs="*", default=[4])
    parser.add_argument("--data", default="python")
    parser.add_argument("--directions", choices=DIRECTIONS, default=OUTPUTS)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="basis-depth-") as scratch:
        rows = [
            measure(Path(scratch), depth, asked.directions, whole=whole, data=asked.data)
            for whole, depths in ((False, asked.depths), (True, asked.whole))
            for depth in depths
        ]
    shape = dict(zip(("width", "inner", "heads"), SHAPES[asked.directions], strict=True))
    found: dict[str, Any] = {"shape": shape, "directions": asked.directions, "rows": rows}
    if asked.directions == OUTPUTS:
        found["rates"] = rates(rows)
        found["plan"] = plan(found["rates"])
    if asked.out:
        write_json(asked.out, found)
    print(json.dumps(found, indent=1))
    return 0


def measure(
    scratch: Path, depth: int, directions: str, *, whole: bool, data: str
) -> dict[str, Any]:
    """Fit and allocation of one model: seconds and peak MiB."""
    model = scratch / f"layers-{depth}"
    if not model.exists():
        write_model(model, depth, *SHAPES[directions])
    registry, name = scratch / "registry", f"whole-{whole}".lower()
    way = [] if whole else ["--layer-at-a-time"]
    kept = [] if directions == OUTPUTS else ["--retain", data]  # another text takes no more
    tokens = TOKENS if directions == OUTPUTS else GRADIENT_TOKENS
    fit = run(
        registry, "basis", "fit", "--backbone", str(model), "--data", data, "--name", name,
        "--tokens", str(tokens), "--window", str(WINDOW), "--max-rank", str(RANK),
        "--directions", directions, *kept, *way,
    )  # fmt: skip
    row: dict[str, Any] = {"layers": depth, "whole": whole, "fit": fit}
    if directions == OUTPUTS:
        row["allocate"] = run(
            registry, "basis", "allocate", f"{name}@{model}", "--budget-like", "lora:r=4",
            "--tokens", str(FISHER_TOKENS), *way,
        )  # fmt: skip
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def write_model(folder: Path, depth: int, width: int, inner: int, heads: int) -> None:
    """A Llama of random weights in bfloat16, with the vocabulary of a shipped backbone."""
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "ref-llama")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=inner,
        num_hidden_layers=depth, num_attention_heads=heads, num_key_value_heads=heads,
        max_position_embeddings=1024,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(registry: Path, *words: str) -> dict[str, float | None]:
    """A verb in a process of its own: its seconds and its peak memory."""
    ran = run_alone(registry, *words)
    return {
        "seconds": ran.seconds,
        "own_seconds": round(json.loads(ran.text)["seconds"], 1),
        "cpu_seconds": ran.cpu_seconds,
        "peak_mib": ran.peak_mib,
        "anonymous_mib": ran.anonymous_mib,
    }


def rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What one more layer takes here, and from it products and eigenvectors a second.

    By time of the processor, which other work on a machine changes little.
    """
    few, *_, many = [row for row in rows if not row["whole"]]
    more = many["layers"] - few["layers"]
    per_layer = {
        part: (many[part]["cpu_seconds"] - few[part]["cpu_seconds"]) / more
        for part in ("fit", "allocate")
    }
    matrix = torch.randn(INNER, INNER, dtype=torch.float64)
    began = time.process_time()
    matrix = matrix @ matrix.T
    gemm = 2 * INNER**3 / (time.process_time() - began)
    began = time.process_time()
    torch.linalg.eigh(matrix)
    eigh = time.process_time() - began
    shape = (WIDTH, INNER, WIDTH)
    solving = _solving(*shape, eigh, gemm)
    return {
        "layer_fit_seconds": per_layer["fit"], "layer_fisher_seconds": per_layer["allocate"],
        "eigh_seconds_of_2048": eigh, "float64_gflops": gemm / 1e9,
        "gflops": TOKENS * _products(*shape) / max(per_layer["fit"] - solving, 1e-3) / 1e9,
        "fisher_gflops": FISHER_TOKENS * 8 * _weights(*shape)
        / max(per_layer["allocate"], 1e-3) / 1e9,
    }  # fmt: skip


def plan(measured: dict[str, float]) -> dict[str, float]:
    """Bytes and seconds of a model of PLAN's shape, one layer at a time, at the measured rates."""
    width, inner, tokens = PLAN["width"], PLAN["inner"], PLAN["tokens"]
    shape = (width, inner, PLAN["key_value"])
    outs = [width, width, inner, inner, width, PLAN["key_value"], PLAN["key_value"]]
    solving = _solving(*shape, measured["eigh_seconds_of_2048"], measured["float64_gflops"] * 1e9)
    products = tokens * _products(*shape) / measured["gflops"] / 1e9
    fisher = PLAN["fisher_tokens"] * 8 * _weights(*shape) / measured["fisher_gflops"] / 1e9
    gib = 2**30
    return {
        "weights_of_a_layer_gib": 2 * _weights(*shape) / gib,
        "embeddings_and_head_gib": 2 * 2 * PLAN["vocabulary"] * width / gib,
        "moments_of_a_layer_gib": 8 * SUMS * width**2 / gib,
        "moments_and_solving_gib": statistics_bytes(_maps(*shape), 0, held=True) / gib,
        "one_boundary_gib": 2 * tokens * width / gib,
        "fisher_boundaries_gib": (2 * (PLAN["layers"] + 1) + 8)
        * PLAN["fisher_tokens"]
        * width
        / gib,
        "kept_directions_gib": 4 * PLAN["layers"] * PLAN["rank"] * sum(outs) / gib,
        "fit_hours": PLAN["layers"] * (products + solving) / 3600,
        "of_which_solving": PLAN["layers"] * solving / 3600,
        "fisher_hours": PLAN["layers"] * fisher / 3600,
    }


def _maps(width: int, inner: int, key_value: int) -> list[LinearMap]:
    """The linear maps of a layer of a Llama, without weights."""
    shapes = {
        "q": (width, width), "k": (key_value, width), "v": (key_value, width),
        "o": (width, width), "gate": (inner, width), "up": (inner, width), "down": (width, inner),
    }  # fmt: skip
    return [LinearMap(name, nn.Identity(), *shape) for name, shape in shapes.items()]


def _products(width: int, inner: int, key_value: int) -> int:
    """Operations of a token in a layer: its forward pass and its moments."""
    return 2 * _weights(width, inner, key_value) + 2 * SUMS * width**2


def _solving(width: int, inner: int, key_value: int, eigh: float, gemm: float) -> float:
    """Seconds of a layer's eigenvectors: q, o, down, and gate and up by what they read (root,
    A = W T and A'A), k and v, and W E[x x'] W' of q, k and v."""
    vectors = eigh * sum(n**3 for n in (*[width] * 6, key_value, key_value)) / INNER**3
    gate_and_up = 2 * 4 * inner * width**2
    heads = sum(2 * out * width * (width + out) for out in (width, key_value, key_value))
    return vectors + (gate_and_up + heads) / gemm


def _weights(width: int, inner: int, key_value: int) -> int:
    """Of the linear maps of a layer of a Llama."""
    return 2 * width * width + 2 * width * key_value + 3 * width * inner


if __name__ == "__main__":
    sys.exit(main())
