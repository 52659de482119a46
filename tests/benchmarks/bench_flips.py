"""Flipped bytes: every kind of artifact x every verb that reads it, detected or harmless.

    python tests/benchmarks/bench_flips.py [--each 8] [--out flips.json]

Tiny random models; one registry with an artifact of every kind, put back before each run.
Detected: exit 1 or 2 with a named error, or the verdict of a verb that checks. Harmless: what the
verb printed and stored (times aside) is what it prints and stores without the flip. Anything else
fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.damage.flips import Judge, Outcome, draw_flips
from tests.damage.readers import READS
from tests.damage.scene import build, keep, restore


def main() -> int:
    """Prints the table; 1 where something damaged was used without a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=8, help="flips for each part of each file")
    parser.add_argument("--kind", nargs="*", default=[*READS], help="kinds of artifact")
    parser.add_argument("--out", type=Path, help="a JSON file for every outcome")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = build(Path(folder) / "scene")
        judge = Judge(scene, keep(scene))
        found: list[Outcome] = []
        for kind in options.kind:
            restore(scene, judge.kept)
            for flip in list(draw_flips(scene, kind, options.each)):
                found.extend(judge.judge(flip, verb) for verb in READS[kind][1])
            print_kind(kind, [one for one in found if one.flip.kind == kind])
    if options.out:
        rows = [asdict(one) for one in found]
        options.out.write_text(json.dumps({"each": options.each, "outcomes": rows}, indent=1))
    total = Counter(one.said for one in found)
    print("total:", ", ".join(f"{total[said]} {said}" for said in sorted(total)))
    return int(any(not one.fine for one in found))


def print_kind(kind: str, found: list[Outcome]) -> None:
    """A row for each part of the artifact and each verb, and each fault on a line of its own."""
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    for one in found:
        row = rows.setdefault((Path(one.flip.file).name, one.flip.part, one.verb), Counter())
        row[one.said if one.said != "harmless" else f"harmless ({one.why})"] += 1
    print(f"{kind}:")
    for (file, part, verb), counts in rows.items():
        said = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
        where = file if part == file else f"{file} {part}"
        print(f"  {where:28} {verb:28} {said}")
    for one in found:
        if not one.fine:
            flip = one.flip
            print(f"  ! {one.said}: {flip.file} {flip.place}.{flip.bit} {one.verb}: {one.why}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
