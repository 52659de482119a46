"""Accuracy on BLiMP by field, of backbones raw and with a module.

    python tests/benchmarks/bench_blimp.py --pairs blimp.jsonl.gz
        [--models ref-gpt2,python-shipped@ref-gpt2] [--per-paradigm 200] [--out blimp.json] [--show]

BLiMP (Warstadt et al. 2020, CC-BY 4.0) is not part of this project: `--pairs` says where it is.
Each model is a piece of its own: one that is in the file of results already, with as many pairs, is
not run again, so that an interrupted run goes on. Of a backbone in a folder the last part of the
path is recorded.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from registry.store import Registry
from transplant import Workspace
from transplant.files.former_keys import with_present_keys
from transplant.files.results import write_json

REFERENCE = tuple(
    name
    for backbone in ("ref-gpt2", "ref-gpt2-b", "ref-llama", "ref-t5")
    for name in (backbone, f"python-shipped@{backbone}")
    if name != "python-shipped@ref-t5"  # none is shipped
)
OUT = Path(__file__).parents[2] / "examples" / "results" / "blimp.json"


def short(name: str) -> str:
    """A model's name without the folders above it."""
    module, at, backbone = name.rpartition("@")
    return module + at + Path(backbone).name


def measure(work: Workspace, name: str, pairs: str, per_paradigm: int | None) -> dict[str, Any]:
    """One model's row: accuracy by field with intervals, without its 67 paradigms' intervals."""
    began = time.monotonic()
    found = work.cfeval(name, pairs, per_paradigm=per_paradigm)
    keep = ("pairs", "accuracy", "interval", "ties", "fields", "start")
    return {
        "model": short(name),
        **{key: found[key] for key in keep},
        "paradigms": {uid: row["accuracy"] for uid, row in found["paradigms"].items()},
        "identical": found["data"]["identical"],
        "sha256": found["data"]["sha256"],
        "per_paradigm": per_paradigm,
        "dtype": dtype_of(found["made"]["dtype"], name),
        "versions": found["made"]["versions"],
        "seconds": round(time.monotonic() - began, 1),
    }


def dtype_of(made: str | dict[str, str], name: str) -> str:
    """The type in which a model computed, of what was noted of all that were loaded so far."""
    return made if isinstance(made, str) else made[name.rpartition("@")[2]]


def show(rows: list[dict[str, Any]]) -> None:
    """The table of the results, as Markdown."""
    fields = [*rows[0]["fields"]]
    print("| model | pairs |", " | ".join([*fields, "all", "95 %"]), "|")
    print("|---" * (len(fields) + 4) + "|")
    for row in rows:
        shares = [f"{100 * row['fields'][field]['accuracy']:.1f}" for field in fields]
        low, high = (100 * bound for bound in row["interval"]["accuracy"])
        cells = [*shares, f"{100 * row['accuracy']:.1f}", f"{low:.1f} to {high:.1f}"]
        print(f"| {row['model']} | {row['pairs']:,} |", " | ".join(cells), "|")


def main() -> None:
    """Measures what is missing and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--pairs", help="BLiMP as lines of JSON: a file, packed or not, or a folder"
    )
    parser.add_argument("--models", default=",".join(REFERENCE))
    parser.add_argument("--per-paradigm", type=int)
    parser.add_argument("--registry", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--show", action="store_true", help="print what is there, run nothing")
    given = parser.parse_args()
    rows = (
        with_present_keys(json.loads(given.out.read_text()))["models"] if given.out.exists() else []
    )
    if not given.show:
        work = Workspace(library=Registry.open(given.registry))
        for name in given.models.split(","):
            if any(
                (row["model"], row["per_paradigm"]) == (short(name), given.per_paradigm)
                for row in rows
            ):
                continue
            rows.append(measure(work, name, given.pairs, given.per_paradigm))
            write_json(given.out, {"models": rows})
    show(rows)


if __name__ == "__main__":
    main()
