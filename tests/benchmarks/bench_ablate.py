"""Every ablation, the budget curve and the same-backbone reconstruction, on the shipped backbones.

    python tests/benchmarks/bench_ablate.py [--parts objectives,controls,curve,same,shapes]
        [--pairs ref-gpt2:ref-gpt2-b,...] [--seeds 3] [--steps N] [--out examples/results]

Trains `python` modules where the registry (--registry, else a temporary one) lacks them, runs each
part, writes one JSON a part and prints its table. Exits 1 where a goal is missed: it says which.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import shares
from transplant.tables.shares import bounds_text, share_text

TRAIN = ("--steps", "250", "--tokens", "200000")
PAIRS = "ref-gpt2:ref-gpt2-b,ref-gpt2:ref-llama"
PARTS = ("objectives", "controls", "curve", "same", "shapes")
CURVE_GOAL, CURVE_TOKENS = 0.75, 32_000
CURVE_PAIRS = ("--pair-data", "donor", "--excerpts", "1000")
ONE_STEP = ("--steps", "1", "--tokens", "4000")
SAME = {
    "corr-closed": ("--tokens", "200000"),
    "corr-solve": ("--tokens", "200000"),
    "corr-mse": ("--tokens", "200000", "--steps", "2000"),
}
CRITERIA = ("top5", "top1", "js", "entropy")
FASTER = 10.0  # what is solved for, against steps, on one backbone


class Bench:
    """Runs verbs against one registry.

    Args:
        registry: where modules are kept.
        options: of the command line.
    """

    def __init__(self, registry: str, options: argparse.Namespace) -> None:
        self.registry, self.options = registry, options
        self.missed: list[str] = []

    def abi(self, *words: str, may_fail: bool = False) -> dict[str, Any]:
        """One verb's JSON."""
        code = "from commands.app import main; main()"
        command = [sys.executable, "-c", code, *words, "--json", "--registry", self.registry]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if ran.returncode and not (may_fail and ran.returncode == 3):
            raise SystemExit(f"abi {' '.join(words)} failed: {ran.stdout}")
        return json.loads(ran.stdout)

    def train(
        self, backbone: str, name: str = "python", seed: int = 0, recipe: tuple[str, ...] = TRAIN
    ) -> str:
        """A `python` module on a backbone, where there is none of that name yet."""
        words = ("list", "--backbone", backbone, "--kind", "module")
        had: Any = self.abi(*words)["artifacts"]
        if all(row["name"] != name for row in had):
            words = ("train", "--backbone", backbone, "--domain", "python", "--name", name)
            self.abi(*words, "--seed", str(seed), *recipe)
        return f"{name}@{backbone}"

    def write(self, name: str, report: dict[str, Any]) -> None:
        """One JSON file of a part, beside the command that made it."""
        made = report.get("made", {})
        report = {**report, "made": {k: made[k] for k in ("versions", "config") if k in made}}
        report["command"] = " ".join(["python", "tests/benchmarks/bench_ablate.py", *sys.argv[1:]])
        self.options.out.mkdir(parents=True, exist_ok=True)
        (self.options.out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")

    def ablate(self, what: str, donor: str, target: str) -> None:
        """One ablation of one pair."""
        module = self.train(donor)
        self.train(target)
        words = ["ablate", what, "--module", module, "--to", target]
        words += ["--seeds", str(self.options.seeds), *self.sizes()]
        report = self.abi(*words)
        self.write(f"ablate-{what}-{donor}-{target}", report)
        print(f"\n{what}: {module} -> {target}")
        for row in report["means"]:
            nib, bounds = row.get("nib", {}), bounds_text(row["interval"])
            print(
                f"  {row['objective']:22}{row['from']:13}{row['module']:8}"
                f"{share_text(row['recovered']):>10}  {bounds}  ppl {row['ppl']:.2f}"
                f"  top-5 {nib.get('top5', float('nan')):.3f}  {row['seconds']:.1f} s"
            )

    def shapes(self, donor: str, target: str) -> None:
        """Widths of the shared space and ways to tap, of one pair."""
        module, seeds = self.train(donor), str(self.options.seeds)
        sizes = self.sizes(tokens=False, steps=False)
        report = self.abi("ablate", "shapes", "--module", module, "--to", target,
                          "--seeds", seeds, *sizes)  # fmt: skip
        self.write(f"ablate-shapes-{donor}-{target}", report)
        print(f"\nshapes: {module} -> {target}")
        for row in report["rows"]:
            native = f"native {row['ppl']['native']:.2f}"
            print(
                f"  {row['shape']:16} seed {row['seed']}  {native}", shares.texts(row["recovered"])
            )

    def curve(self, donor: str, target: str) -> None:
        """The budget curve of one pair, and its goal at 32k tokens."""
        module = self.train(donor)
        self.train(target)
        with tempfile.TemporaryDirectory() as plots:
            report = self.abi(
                "transfer", "--module", module, "--to", target, "--curve", self.options.budgets,
                "--seeds", str(self.options.seeds), "--out", plots, *CURVE_PAIRS,
                *self.sizes(tokens=False),
            )  # fmt: skip
            name = f"curve-{donor}-{target}"
            self.write(name, report)
            picture = Path(plots) / "curve.png"
            (self.options.out / f"{name}.png").write_bytes(picture.read_bytes())
        print(f"\ncurve: {module} -> {target}")
        for number, budget in enumerate(report["budgets"]):
            points = {name: found[number] for name, found in report["curves"].items()}
            print(f"  {budget:8,}", shares.texts({n: p["recovered"] for n, p in points.items()}))
            if budget == CURVE_TOKENS:
                pairs = zip(points["moved"]["by_seed"], points["native"]["by_seed"], strict=True)
                self.goal(
                    f"{name}: moved beats native",
                    all(None not in (m, n) and m > n for m, n in pairs),
                )
                reached = shares.at_least(points["moved"]["recovered"], CURVE_GOAL)
                self.goal(f"{name}: recovered >= {CURVE_GOAL}", reached)
        print(f"  crossing: {report['crossing_tokens']}")

    def same(self, backbone: str) -> None:
        """Two modules on one backbone: the candidate is calibrated to the anchor, both ways.

        So is a module that was trained for one step, which is as good as random: its control.
        """
        anchor = self.train(backbone)
        candidates = {
            "candidate": self.train(backbone, "python-1", seed=1),
            "control": self.train(backbone, "untrained", seed=2, recipe=ONE_STEP),
        }
        report: dict[str, Any] = {"anchor": anchor, **candidates}
        for role, candidate in candidates.items():
            report[f"{role}/uncalibrated"] = {"nib": self.judge(anchor, candidate)}
            for objective, more in SAME.items():
                made = self.abi(
                    "calibrate", "--module", candidate, "--to", backbone, "--anchor", anchor,
                    "--objective", objective, "--name", f"{role}-{objective}", "--replace", *more,
                )  # fmt: skip
                report[f"{role}/{objective}"] = {
                    "seconds": made["seconds"]["learn"],
                    "learned": made["learned"],
                    "nib": self.judge(anchor, made["name"]),
                }
        self.write(f"same-{backbone}", report)
        print(f"\nsame backbone: {candidates['candidate']} calibrated to {anchor}")
        for name, found in report.items():
            if isinstance(found, dict) and "nib" in found:
                numbers = " ".join(f"{k} {found['nib'][k]:.4f}" for k in CRITERIA)
                verdict, took = found["nib"]["verdict"], found.get("seconds", 0.0)
                print(f"  {name:24}{verdict:14}{numbers}  {took:.1f} s")
        closed, solved, steps = (report[f"candidate/{objective}"] for objective in SAME)
        verdicts = {name: report[f"candidate/{name}"]["nib"]["verdict"] for name in SAME}
        self.goal(f"same: NIB pass, extended ({verdicts})", "pass" in verdicts.values())
        for name, found in (("corr-closed", closed), ("corr-solve", solved)):
            times = steps["seconds"] / found["seconds"]
            self.goal(f"same: {name} {times:.1f} x as fast, goal {FASTER}", times >= FASTER)
            better = found["nib"]["top5"] >= steps["nib"]["top5"]
            self.goal(f"same: top-5 of {name} at least that of steps", better)

    def judge(self, anchor: str, candidate: str) -> dict[str, Any]:
        """The extended NIB."""
        words = ("nib", "--anchor", anchor, "--candidate", candidate, "--extended")
        return self.abi(*words, may_fail=True)

    def sizes(self, *, tokens: bool = True, steps: bool = True) -> list[str]:
        """Options that the ablations share."""
        words = ["--steps", str(self.options.steps)] if steps and self.options.steps else []
        words += ["--eval-tokens", str(self.options.eval_tokens)]
        return [*words, "--tokens", str(self.options.tokens)] if tokens else words

    def goal(self, what: str, reached: bool) -> None:
        """Prints a goal, and remembers it where it is missed."""
        print(f"  {'reached' if reached else 'MISSED '}  {what}")
        if not reached:
            self.missed.append(what)


def main() -> int:
    """Runs the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--budgets", default="0,4k,32k,256k")
    parser.add_argument("--tokens", type=int, default=32_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--eval-tokens", type=int, default=40_000)
    parser.add_argument("--registry")
    parser.add_argument("--out", type=Path, default=Path("examples/results"))
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(options.registry or temporary, options)
        for part in options.parts.split(","):
            for pair in options.pairs.split(","):
                donor, target = pair.split(":")
                if part == "same":
                    bench.same(target)
                elif part in ("curve", "shapes"):
                    getattr(bench, part)(donor, target)
                else:
                    bench.ablate(part, donor, target)
    print(f"\n{time.monotonic() - began:.0f} s; goals missed: {bench.missed or 'none'}")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
