"""Cost of capturing beside nnsight and SAELens, on the same model, text and batches.

    python3.11 -m venv /tmp/rivals
    /tmp/rivals/bin/pip install -c constraints.txt -e '.[data]' nnsight==0.8.1 sae-lens==6.54.12
    OMP_NUM_THREADS=2 /tmp/rivals/bin/python tests/benchmarks/bench_rivals.py [--rounds 5] [--out F]

(Where PyPI's torch would be gigabytes, as in the Makefile: `--extra-index-url
https://download.pytorch.org/whl/cpu`.) Whichever of the two is not installed is left out.

Every tool reads ref-llama without its head, each in modules of its own around the same weights, for
both rivals leave hooks behind; windows of 512 tokens alone, for SAELens stores no others. nnsight:
`trace`, with `.save()` or its `cache`; to disk one safetensors file for each batch, for it has no
writer. SAELens: `HookedProxyLM` and `ActivationsStore`; to disk its `CacheActivationsRunner`, which
takes one hook a run, so that all taps are as many runs. Neither rival syncs what it writes; our
capture does, and `nnsight, synced` is what nnsight takes when each of its files is.
`last` is the tap after the final norm; at tap 2 both rivals stop the pass, as each offers to.

Ratios are medians over rounds in which all take turns. `against` is our time over a rival's in the
same round, with the interval that holds its median at 95 %. Exits 1 where ours is larger than the
better rival's, or where a rival's states are not ours. As in `abi`, freed memory stays with the
process; the rivals gain by it as much.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import shlex
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from passes import WINDOW, Passes, ratios
from rivals import BATCH, NNsightRival, Rival, SAELensRival
from scipy import stats

from transplant.activations.capture import Taps
from transplant.activations.reader import Activations
from transplant.allocator import keep_freed_memory
from transplant.text.windows import Window

CLOSE = 1e-4
PACKAGES = (
    "torch", "transformers", "nnsight", "sae-lens", "transformer-lens", "datasets", "pyarrow",
    "safetensors", "h5py", "numpy",
)  # fmt: skip


def to_memory(rival: Rival, taps: Taps) -> None:
    """A pass that keeps what the rival read."""
    kept = [rival.read(batch, taps) for batch in rival.passes.grouped]
    assert len(kept[0]) == len(taps.names)


def in_folder(run: Callable[[Path], None]) -> None:
    """Runs with a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))


def verify(passes: Passes, rival: Rival, taps: Taps) -> dict[str, float]:
    """The largest difference from our states: on a padded batch, and on everything on the disk."""
    lengths = (WINDOW, 300, 40)
    batch = [
        Window(window.ids[:n], window.ends[:n], window.document)
        for window, n in zip(passes.windows, lengths, strict=False)
    ]
    ours = passes.backbone.read(batch, map(int, taps.names)).taps
    keep = passes.padded(batch)[1].bool()
    theirs = {int(tap): states[keep] for tap, states in rival.read(batch, taps).items()}
    found = {"read": max(float((ours[t] - theirs[t]).abs().max()) for t in ours)}
    # The same comparison, one row off, has to fail.
    assert min(float((ours[t] - theirs[t].roll(1, 0)).abs().max()) for t in ours) > CLOSE
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "theirs").mkdir()
        passes.to_disk(taps, Path(folder) / "acts.h5")
        rival.to_disk(taps, Path(folder) / "theirs")
        theirs = rival.stored(taps, Path(folder) / "theirs")
        with Activations.open(Path(folder) / "acts.h5") as acts:
            found["stored"] = max(
                float((torch.as_tensor(acts.tap(t, 0, acts.rows)) - theirs[t]).abs().max())
                for t in taps.names
            )
    return found


def rivals_of(passes: Passes) -> dict[str, Rival]:
    """Those that can be imported; says which cannot."""
    makers = {
        "nnsight": partial(NNsightRival, passes),
        "nnsight cache": partial(NNsightRival, passes, cache=True),
        "SAELens": partial(SAELensRival, passes),
    }
    found: dict[str, Rival] = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def measure(passes: Passes, rivals: Mapping[str, Rival], taps: Taps, rounds: int) -> dict[str, Any]:
    """The ratios of all for some taps."""
    reading = {name: partial(to_memory, rival, taps) for name, rival in rivals.items()}
    writing = {
        name: partial(in_folder, partial(rival.to_disk, taps))
        for name, rival in rivals.items()
        if name != "nnsight cache"  # reads as fast, writes the same
    }

    def ours_to_disk() -> None:
        in_folder(lambda folder: passes.to_disk(taps, folder / "acts.h5"))

    if isinstance(nnsight := rivals.get("nnsight"), NNsightRival):
        synced = partial(nnsight.to_disk, taps, synced=True)
        writing["nnsight, synced"] = partial(in_folder, synced)
    kinds = {
        "to memory": {"ours": partial(passes.to_memory, taps), **reading},
        "to disk": {"ours": ours_to_disk, **writing},
    }
    return {kind: with_ours(ratios(runs, passes.bare, rounds)) for kind, runs in kinds.items()}


def with_ours(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same, and for each rival our time over its own."""
    for name, theirs in found.items():
        if name != "ours":
            pairs = zip(found["ours"]["each"], theirs["each"], strict=True)
            theirs["against"] = median_with_interval([ours / own for ours, own in pairs])
    return found


def median_with_interval(values: Sequence[float]) -> list[float]:
    """The median, and the interval that holds it at 95 % whatever the distribution."""
    low, high = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    return [round(float(value), 3) for value in (statistics.median(values), low, high)]


def slower(measured: Mapping[str, Any]) -> list[str]:
    """Where ours costs more than the better rival."""
    worse = []
    for what, kinds in measured.items():
        for kind, found in kinds.items():
            theirs = [one["median"] for name, one in found.items() if name != "ours"]
            if theirs and found["ours"]["median"] > min(theirs):
                worse.append(f"{what} {kind}")
    return worse


def versions() -> dict[str, str]:
    """Of the packages that are here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> int:
    """Verifies, measures, prints, and compares with the better rival."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=40_960)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of SAELens: fewer texts than tokens
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    passes = Passes.over("ref-llama", "python", options.tokens, full=BATCH)
    rivals = rivals_of(passes)
    last = str(passes.backbone.n_layers)
    groups = {
        "all taps": Taps(tuple(map(str, passes.backbone.all_taps))),
        "last tap": Taps((last,)),
        "tap 2": Taps(("2",)),
    }
    found: dict[str, Any] = {
        "command": shlex.join(["python", *sys.argv]), "versions": versions(),
        "threads": options.threads, "tokens": passes.tokens.rows,
    }  # fmt: skip
    found["difference"] = {
        name: verify(passes, rival, groups["all taps"]) for name, rival in rivals.items()
    }
    print("difference", json.dumps(found["difference"]), flush=True)
    found["ratios"] = {}
    for what, taps in groups.items():
        found["ratios"][what] = measure(passes, rivals, taps, options.rounds)
        print(what, json.dumps(found["ratios"][what]), flush=True)
    found["slower"] = slower(found["ratios"])
    found["not equal"] = [n for n, d in found["difference"].items() if max(d.values()) > CLOSE]
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    for complaint in ("slower", "not equal"):
        if found[complaint]:
            print(f"{complaint}: {', '.join(found[complaint])}")
    return 1 if found["slower"] or found["not equal"] else 0


if __name__ == "__main__":
    sys.exit(main())
