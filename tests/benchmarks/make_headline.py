"""Makes the shipped headline: natives, moved modules, and what was measured of them.

    python tests/benchmarks/make_headline.py               # runs `abi demo`: 5 minutes on two cores
    python tests/benchmarks/make_headline.py --demo DIR    # takes one that has run

A demo trains `python` on ref-gpt2, ref-gpt2-b and ref-llama, moves that of the first to the other
two, and leaves a registry and `result.json`. Its modules and interfaces go into the reference
registry, as `python-shipped`, so that `python` stays free for users; beside them goes
`headline.json`, the reports of its moves. `abi verify` recomputes them. What was shipped before is
replaced.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from registry.store import REFERENCE, Registry
from transplant.tables.shares import share_text

ABI = str(Path(sys.executable).with_name("abi"))
DOMAIN, SHIPPED = "python", "python-shipped"


def renamed(name: str) -> str:
    """`python` as `python-shipped`, at the head of a name."""
    assert name.startswith(DOMAIN), name
    return SHIPPED + name.removeprefix(DOMAIN)


def ship(source: Path) -> list[str]:
    """Replaces what is shipped by the modules and interfaces of a registry; returns their names."""
    demo = Registry(source)
    entries = [e for kind in ("module", "interface") for e in demo.entries(kind) if not e.shipped]
    with tempfile.TemporaryDirectory() as work:
        staging, written = Registry(Path(work), Path(work) / "nothing"), []
        for entry in entries:
            name = renamed(entry.manifest.name)
            manifest = dataclasses.replace(entry.manifest, name=name, license="Apache-2.0")
            written.append(staging.write(manifest, demo.read(entry)))
        for folder in REFERENCE.glob(f"*/d*/*/{SHIPPED}*"):
            shutil.rmtree(folder)
        for entry in written:
            shutil.copytree(entry.path, REFERENCE / entry.path.relative_to(work))
    return [f"{entry.manifest.kind} {entry.hosted}" for entry in written]


def recorded(move: dict[str, Any]) -> dict[str, Any]:
    """A move's report under the shipped names, and where its native is."""
    names = {"donor": renamed(move["donor"]), "name": renamed(move["name"])}
    return {**move, **names, "native": f"{SHIPPED}@{move['target']}"}


def main() -> int:
    """Ships a demo, writes the record last, and says what is in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--demo", type=Path, help="folder of a demo; a new one runs without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        demo = options.demo or Path(work)
        if options.demo is None:
            subprocess.run([ABI, "demo", "--out", str(demo)], check=True)
        result = json.loads((demo / "result.json").read_text())
        names = ship(demo / "registry")
    record = {
        "command": " ".join(["python", "tests/benchmarks/make_headline.py", *sys.argv[1:]]),
        "python": platform.python_version(),
        "moves": [recorded(move) for move in result["moves"]],
    }
    (REFERENCE / "headline.json").write_text(json.dumps(record, indent=1) + "\n")
    print(*names, sep="\n")
    for move in record["moves"]:
        found = share_text(move["recovered"]["candidate"])
        print(move["donor"], "->", move["name"], f"recovered {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
