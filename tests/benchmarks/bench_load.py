"""Cost of verification in a load: pairs with and without it, as a ratio of medians.

    python -m tests.benchmarks.bench_load [--pairs 15]

`known` is a load of a folder that was checked before, `first` one that checks all of it; `none`
hashes, compares and checks nothing. A module on a shipped backbone, and a random Llama of 325 MB.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers as hf

import transplant
from registry.store import REFERENCE, Registry
from transplant.backbones import load as loading
from transplant.files.remembered import Checked

MODULE = "python-shipped@ref-gpt2"
LLAMA = {
    "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 6,
    "num_attention_heads": 16, "vocab_size": 8192, "tie_word_embeddings": True,
}  # fmt: skip


@contextmanager
def unverified(checked: Checked) -> Iterator[None]:
    """Loads without a hash, a comparison or a check."""
    replaced: list[tuple[Any, str, Any]] = [
        (loading.Memory, "state", lambda _self: None),
        (loading.Memory, "recall", lambda _self, _state: checked),
        (loading, "check_folder", lambda _folder: {}),
        (loading, "check_sizes", lambda *_: None),
        (loading, "check_folder_fits", lambda *_: None),
        (loading, "check_device", torch.device),
    ]
    with ExitStack() as stack:
        for owner, name, nothing in replaced:
            stack.enter_context(patch.object(owner, name, nothing))
        for name in ("check_promised", "check_same"):
            stack.enter_context(patch(f"transplant.loading.hosted.{name}", lambda *_: None))
        stack.enter_context(patch("registry.reading.Reader._verify", lambda *_: None))
        yield


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(name: str, library: Registry, pairs: int) -> None:
    """Prints the medians of a name, interleaved, and their ratios."""
    backbone = transplant.load(name, library=library).backbone  # warm: imports, files in memory
    hashes = (getattr(backbone, field.name) for field in dataclasses.fields(Checked))
    checked = Checked(*hashes)
    assert library.checked_file is not None

    def work() -> None:
        transplant.load(name, library=library)

    times: dict[str, list[float]] = {"none": [], "known": [], "first": []}
    for _ in range(pairs):
        with unverified(checked):
            times["none"].append(seconds(work))
        times["known"].append(seconds(work))
        library.checked_file.unlink()
        times["first"].append(seconds(work))
        assert library.checked_file.is_file()
    medians = {system: statistics.median(values) for system, values in times.items()}
    print(f"{name}: " + ", ".join(f"{system} {1e3 * s:.1f} ms" for system, s in medians.items()))
    for system in ("known", "first"):
        print(f"  {system} / none {medians[system] / medians['none']:.3f}")


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        big = root / "big"
        hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA)).save_pretrained(big)
        hf.AutoTokenizer.from_pretrained(REFERENCE / "ref-llama").save_pretrained(big)
        time.sleep(2.5)  # what changed just now is not remembered
        library = Registry(root)
        measure(MODULE, library, pairs)
        measure(str(big), library, pairs)


if __name__ == "__main__":
    main()
