"""Makes the shipped headline: natives, moved modules and what was measured of them.

    python tests/benchmarks/make_headline.py             # the moves again, with the shipped natives
    python tests/benchmarks/make_headline.py --retrain   # the natives too: about 15 minutes

Trains `python-shipped` on ref-gpt2 and on every target (the recipe of bench_transfer.py, seed 0),
moves the one of ref-gpt2 with text of `prose` alone, and puts the artifacts into the reference
registry with `headline.json` beside them: the reports of `abi transfer` as they were printed.
`abi verify` recomputes them. What was shipped before is removed first; git brings it back.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from registry.store import REFERENCE

ABI = str(Path(sys.executable).with_name("abi"))
NAME, DONOR, TARGETS = "python-shipped", "ref-gpt2", ("ref-gpt2-b", "ref-llama")
TRAIN = ("--domain", "python", "--name", NAME, "--steps", "250", "--tokens", "200000")
EVAL = ("--eval-tokens", "10000")  # few enough for `abi verify` to read them in seconds


def abi(registry: str, *words: str) -> dict:
    """Runs one verb and returns its JSON."""
    command = [ABI, *words, "--json", "--quiet", "--registry", registry]
    print(" ".join(["abi", *words]), file=sys.stderr, flush=True)
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {ran.stdout}")
    return json.loads(ran.stdout)


def remove_shipped(name: str, backbone: str) -> None:
    """Removes a module and its interface from the reference registry."""
    for folder in (REFERENCE / backbone).glob(f"d*/*/{name}"):
        shutil.rmtree(folder)


def ship(root: str) -> None:
    """Copies every module and interface of a registry into the reference registry."""
    for manifest in Path(root).glob("*/d*/*/*/manifest.json"):
        place = manifest.parent.relative_to(root)
        shutil.copytree(manifest.parent, REFERENCE / place, dirs_exist_ok=True)


def make(root: str, *, retrain: bool) -> list[dict]:
    """Trains what is missing, moves, and returns the reports of the moves."""
    for backbone in (DONOR, *TARGETS):
        remove_shipped(f"{NAME}-from-{DONOR}", backbone)
        if retrain:
            remove_shipped(NAME, backbone)
        if not any((REFERENCE / backbone).glob(f"d*/module/{NAME}")):
            abi(root, "train", "--backbone", backbone, *TRAIN)
    words = ("--module", f"{NAME}@{DONOR}", "--native", NAME, *EVAL)
    return [abi(root, "transfer", "--to", target, *words) for target in TARGETS]


def main() -> int:
    """Makes everything and writes the record last."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--retrain", action="store_true", help="train the natives again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        moves = make(root, retrain=options.retrain)
        ship(root)
    command = " ".join(["python tests/benchmarks/make_headline.py", *sys.argv[1:]])
    record = {"command": command, "python": platform.python_version(), "moves": moves}
    (REFERENCE / "headline.json").write_text(json.dumps(record, indent=1) + "\n")
    for move in moves:
        print(move["donor"], "->", move["name"], f"recovered {move['recovered']['candidate']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
