"""Two modules fused on one layer of ref-gpt2, by `abi fuse` as a user runs it.

    python tests/benchmarks/bench_fuse.py [--registry DIR] [--out examples/results/fuse.json]

`python-shipped`, and a `chess` module that is trained here on made-up games (1,000 of them, 150
steps). Seed 0 trains both combiners, keeps the better on calibration text, and trains the controls
with it; the other seeds train the kept one again. Exits 1 where a goal is missed on held-out
documents: on the mix better than each module alone, to the interval; on each one's own text within
2 % of the better one; a random module's weight below half that of the one in whose place it is.
That module works behind maps that were trained (`random_slot`); beside it, without a goal, one
behind maps that are drawn too (`random_member`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GAMES = "games.pgn"
MEMBERS = ("python-shipped@ref-gpt2", "chess@ref-gpt2")
TEXTS = {"python-shipped@ref-gpt2": "python", "chess@ref-gpt2": GAMES}


def abi(registry: Path, *words: str) -> Any:
    """Runs a verb in the registry's folder and returns its JSON."""
    verb = [sys.executable, "-c", "from commands.app import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*verb, "--json", "--quiet", "--registry", str(registry)]
    ran = subprocess.run(
        command, stdout=subprocess.PIPE, check=False, env=environment, cwd=registry
    )
    found = json.loads(ran.stdout)
    if ran.returncode != 0:
        raise SystemExit(f"abi {' '.join(words)}: {found}")
    return found


def prepare(registry: Path) -> dict[str, Any]:
    """The games and the module that learns them, where they are not there yet."""
    registry.mkdir(parents=True, exist_ok=True)
    if not (registry / GAMES).exists():
        script = [sys.executable, str(ROOT / "examples" / "make_games.py"), "--games", "1000"]
        subprocess.run([*script, "--seed", "0", "--out", str(registry / GAMES)], check=True)
    if any(
        row["name"] == "chess" for row in abi(registry, "list", "--kind", "module")["artifacts"]
    ):
        shown = abi(registry, "show", MEMBERS[-1])
        return {"ppl": shown["results"]["ppl"], "found": True}
    trained = abi(
        registry, "train", "--backbone", "ref-gpt2", "--domain", "chess", "--domain-data", GAMES,
        "--steps", "150", "--window", "256", "--tokens", "120000", "--eval-tokens", "10000",
    )  # fmt: skip
    return {key: trained[key] for key in ("ppl", "module_sha256", "seconds")}


def fuse(registry: Path, seed: int, options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """One fusion."""
    texts = [word for text in TEXTS.values() for word in ("--domain-data", text)]
    words = ("--layer", "2", *MEMBERS, *texts, "--steps", str(options.steps))
    name = ("--name", f"fused-{seed}", "--replace", "--seed", str(seed))
    report = abi(registry, "fuse", *words, "--eval-tokens", str(options.eval_tokens), *name, *more)
    report.pop("path")
    print(line(report), flush=True)
    return report


def line(report: dict[str, Any]) -> str:
    """One fusion for people."""
    ppl, kept = report["ppl"], report["combiner"]
    parts = [
        f"{text} {min(ppl[m][text]['ppl'] for m in MEMBERS):.2f} -> {ppl[kept][text]['ppl']:.2f}"
        f" ({report['gain'][text]['change']:+.1%})"
        for text in report["tokens"]
    ]
    weights = report["weights"]
    parts += [
        f"{control} weighs {weights[control][TEXTS[MEMBERS[-1]]][MEMBERS[-1]]['size']:.2f}"
        for control in ("random_slot", "random_member")
        if control in weights
    ]
    return f"seed {report['seed']} {kept}: {'  '.join(parts)}  {report['seconds']:.0f} s"


def missed(report: dict[str, Any]) -> list[str]:
    """The goals that a fusion misses."""
    found, seed = [], report["seed"]
    if not report["goals"]["mix_better_than_each"]:
        found.append(f"seed {seed}: on the mix not better than each module alone")
    found += [
        f"seed {seed}: on {text} {report['gain'][text]['change']:+.1%}, not within 2 %"
        for text, met in report["goals"]["own_text_within_2_percent"].items()
        if not met
    ]
    if "random_slot" in report["weights"]:
        member = MEMBERS[-1]
        true, random = (
            report["weights"][which][TEXTS[member]][member]["size"]
            for which in (report["combiner"], "random_slot")
        )
        if random > 0.5 * true:
            found.append(
                f"seed {seed}: a random module weighs {random:.2f}, the true one {true:.2f}"
            )
    return found


def main() -> int:
    """Measures, prints, and compares with the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", type=Path, help="a new one, and gone again, by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--eval-tokens", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    temporary = None if options.registry else tempfile.TemporaryDirectory()
    registry = (options.registry or Path(temporary.name)).resolve()
    result: dict[str, Any] = {
        "options": {name: getattr(options, name) for name in ("seeds", "steps", "eval_tokens")},
        "second_module": prepare(registry),
        "fusions": [],
    }
    goals: list[str] = []
    for seed in range(options.seeds):
        kept = [report["combiner"] for report in result["fusions"][:1]]
        again = ("--combiner", *kept, "--no-controls") if kept else ()
        report = fuse(registry, seed, options, *again)
        goals += missed(report)
        result["fusions"].append(report)
        result |= {"missed": goals, "seconds": time.monotonic() - began}
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(f"missed: {goal}" for goal in goals) or "every goal is met")
    return 1 if goals else 0


if __name__ == "__main__":
    sys.exit(main())
