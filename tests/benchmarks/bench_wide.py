"""The input map at the shape of Llama-3-8B: peak memory, and seconds for 10,000 rows.

    python tests/benchmarks/bench_wide.py [--rows 10000] [--taps 33] [--width 4096] [--d-abi 128]

No model runs: the states are synthetic, in bfloat16, of a stream that each layer adds a little to,
and the donor reads what some layers have added. What is measured is the work of `bridge-align` on
them: the rows go to files as they would, `fit_bridge` reads them there. A control: R2 on held-out
rows must be above that of random bases of as many columns.
Exits 1 above 4 GiB or 60 s per 10,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transplant.alignment.basis import TapBases
from transplant.backbones.states import NO_LABEL, RowTokens, States
from transplant.calibration import columns
from transplant.calibration.bridge import fit_bridge
from transplant.calibration.config import MoveConfig
from transplant.calibration.pairs import PairedText
from transplant.calibration.stored_pairs import PairedWindows, Side, store_pairs
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.interface import Interface
from transplant.text.windows import Window

GIB = 1024**3
LATENT = 48  # dimensions that a layer adds to the stream
BATCH = 800  # rows


class Stream:
    """Stands in for a backbone: its states follow from the numbers of a window's tokens.

    Args:
        seed: of the layers.
        layers: their number.
        width: d_model.
    """

    def __init__(self, seed: int, layers: int, width: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.name = f"synthetic-{seed}"
        self.family, self.context, self.vocab_size = "synthetic", 8192, 32
        self.weights_sha256 = self.tokenizer_sha256 = self.config_sha256 = "0" * 64
        self.n_layers, self.d_model, self.device = layers, width, torch.device("cpu")
        self.all_taps = tuple(range(layers + 1))
        self.model = None  # nothing of it is asked of `transformers`
        self.unembedding = torch.zeros(self.vocab_size, width, dtype=torch.bfloat16)
        fall = torch.arange(1, LATENT + 1).float() ** -0.5
        self._mixing = [
            fall[:, None] * torch.randn(LATENT, width, generator=draw) for _ in self.all_taps
        ]
        self._noise = 0.3 * torch.randn(BATCH + 997, width, generator=draw)

    def check_taps(self, taps: Iterable[int]) -> tuple[int, ...]:
        """As a backbone does."""
        return tuple(sorted(taps))

    def rows_of(self, window: Window) -> RowTokens:
        """As a backbone does."""
        return RowTokens(window.ids, [NO_LABEL] * len(window.ids), window.ends)

    def read(self, windows: Sequence[Window], taps: Iterable[int]) -> States:
        """The states of one window; what a layer adds is the same for all streams of that layer."""
        (window,) = windows
        rows, seed = len(window.ids), window.document
        latent = torch.Generator().manual_seed(seed)
        state, kept = torch.zeros(rows, self.d_model), {}
        for tap, mixing in enumerate(self._mixing):
            state = state + torch.randn(rows, LATENT, generator=latent) @ mixing
            start = (17 * seed + 31 * tap) % 997
            kept[tap] = (state + self._noise[start : start + rows]).bfloat16()
        none = torch.zeros(rows, dtype=torch.long)
        return States({t: kept[t] for t in taps}, kept[self.n_layers], none, none, none)


def chunks_of(rows: int, first: int) -> list[PairedWindows]:
    """Windows of `BATCH` rows, all of which pair."""
    found = []
    for number in range(-(-rows // BATCH)):
        size = min(BATCH, rows - number * BATCH)
        window = Window(list(range(size)), list(range(size)), first + number)
        places = torch.arange(size)
        found.append(PairedWindows([window], [window], (places, places), 0))
    return found


def random_bases(_: Any, leading: Any, budget: int) -> TapBases:
    """As many columns of each tap, drawn at random."""
    draw = torch.Generator().manual_seed(0)
    share = budget // len(leading.taps)

    def block(width: int) -> Tensor:
        return torch.linalg.qr(torch.randn(width, share, generator=draw))[0]

    return TapBases(tuple(block(len(tap.mean)) for tap in leading.taps))


def main() -> int:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--held-out", type=int, default=1_000)
    parser.add_argument("--taps", type=int, default=33)
    parser.add_argument("--width", type=int, default=4_096)
    parser.add_argument("--d-abi", type=int, default=128)
    parser.add_argument("--columns", type=int, default=MoveConfig.columns)
    parser.add_argument("--control", action="store_true", help="random bases as well")
    given = parser.parse_args()
    target: Any = Stream(1, given.taps - 1, given.width)
    donor: Any = Stream(2, given.taps - 1, 512)
    draw = torch.Generator().manual_seed(3)
    interface = Interface(512, given.d_abi, (donor.n_layers // 2,), generator=draw)
    correction = Correction(interface, MlpModule(given.d_abi, generator=draw))
    config = MoveConfig(columns=given.columns)
    with tempfile.TemporaryDirectory() as folder:
        sides = Side(donor, interface.taps), Side(target, target.all_taps)
        began = time.monotonic()
        fitted, held = (
            PairedText(store_pairs(Path(folder), *sides, chunks_of(rows, first)))
            for rows, first in ((given.rows, 0), (given.held_out, 10**6))
        )
        stored = time.monotonic() - began
        began, worked = time.monotonic(), time.process_time()
        bridge = fit_bridge(correction, target, fitted, held, config)
        seconds, worked = time.monotonic() - began, time.process_time() - worked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        control = None
        if given.control:
            columns.used_directions = random_bases
            control = fit_bridge(correction, target, fitted, held, config).quality.r2
    per_10k = seconds * 10_000 / given.rows
    report = {
        "rows": given.rows,
        "columns_of_all_taps": given.taps * given.width,
        "columns": given.columns,
        "d_abi": given.d_abi,
        "threads": torch.get_num_threads(),
        "taps_kept": len(bridge.interface.taps),
        "interface": list(bridge.interface.proj_in.weight.shape),
        "r2": bridge.quality.r2,
        "r2_random_bases": control,
        "seconds_storing": round(stored, 1),
        "seconds": round(seconds, 1),
        "processor_seconds": round(worked, 1),
        "seconds_per_10000_rows": round(per_10k, 1),
        "peak_gib": round(peak / GIB, 2),
    }
    print(json.dumps(report, indent=2))
    return int(peak > 4 * GIB or per_10k > 60 or (control or -1.0) > bridge.quality.r2 - 0.02)


if __name__ == "__main__":
    raise SystemExit(main())
