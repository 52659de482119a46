"""Modules after updates of their backbone: efficacy, its price, and a succession of three.

    python tests/benchmarks/bench_invariance.py [--seeds 3] [--registry DIR] [--out FILE]

For each backbone: a `python` module, then updates on `prose2` without the stability term and with
it, each with its controls; then three rounds with two modules, `python` and `chess`, their gates on
and off. It is sized for two cores and about an hour: 300 steps of an update (`abi invariance`
takes 1000 by default), modules and natives of 250 steps, 8,000 held-out tokens; the result says so.
Each row is one backbone, one strength of the stability term and one seed. A row is written to --out
as soon as it is there; a run that is started again with the same --out and --registry goes on from
it, and two runs may share them (give the second its --backbones in another order). Exits 1 where a
goal is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands.output import Output
from commands.session import open_session
from tests.benchmarks import shares
from transplant.calibration.config import RepairConfig
from transplant.errors import NotFoundError
from transplant.tables.shares import kept_text, share_text
from transplant.training.config import TrainConfig, UpdateConfig
from transplant.workflows.train.module import TrainJob, run_train_job
from transplant.workflows.update.invariance import invariance_report
from transplant.workflows.update.study import Study
from transplant.workflows.update.succession import succession_report

GAMES = Path(__file__).parents[2] / "examples" / "make_games.py"
LEAST_EFFICACY, MOST_COST, LEAST_SPEEDUP, LEAST_AFTER_ROUNDS = 0.80, 0.02, 20.0, 0.70
MOST_WORSE, LEAST_KEPT = 1.0, 0.95  # of general text behind a gate, in %; of the module's gain


def main() -> int:
    """Measures what is not in --out yet, prints the tables, and compares with the goals."""
    options = parse()
    options.registry = options.registry or Path(tempfile.mkdtemp(prefix="bench-invariance-"))
    rows = Rows(options.out)
    for backbone in filter(None, options.backbones.split(",")):
        for seed in range(options.seeds):
            for stability in map(float, options.stabilities.split(",")):
                rows.measure(
                    f"{backbone}, stability {stability:g}, seed {seed}",
                    lambda b=backbone, s=stability, n=seed: invariance(options, b, s, n),
                )
    for backbone in filter(None, options.succession.split(",")):
        key = f"{backbone}, {options.rounds} rounds"
        rows.measure(key, lambda b=backbone: succession(options, b))
    return report(rows.read())


@dataclasses.dataclass(frozen=True)
class Rows:
    """What has been measured, in a file where there is one; several runs may share it."""

    path: Path | None
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    def read(self) -> dict[str, Any]:
        """All rows so far."""
        if self.path and self.path.exists():
            self.kept.update(json.loads(self.path.read_text()))
        return self.kept

    def measure(self, key: str, work: Callable[[], dict[str, Any]]) -> None:
        """Measures a row that is not there yet, with the time that it took, and keeps it."""
        if key in self.read():
            return
        print(f"{key} ...", file=sys.stderr, flush=True)
        wall, cpu = time.monotonic(), time.process_time()
        found = {k: v for k, v in work().items() if k != "made"}
        spent = {"wall": time.monotonic() - wall, "processor": time.process_time() - cpu}
        self.read()[key] = found | {"row_seconds": spent}
        if self.path:
            whole = self.path.with_suffix(f".{os.getpid()}.part")
            whole.write_text(json.dumps(self.kept, indent=1) + "\n")
            whole.replace(self.path)


def parse() -> argparse.Namespace:
    """The options; the defaults fit into an hour of two cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", default="ref-gpt2,ref-llama,ref-t5")
    parser.add_argument("--succession", default="ref-gpt2", help="backbones of the rounds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stabilities", default="0,0.3,1", help="strengths of the stability term")
    parser.add_argument("--steps", type=int, default=300, help="of an update")
    parser.add_argument("--learning-rate", type=float, default=UpdateConfig.learning_rate)
    parser.add_argument("--train-steps", type=int, default=250, help="of modules and natives")
    parser.add_argument("--train-tokens", type=int, default=200_000)
    parser.add_argument("--calibration-tokens", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-steps", type=int, help="default: as --steps")
    parser.add_argument("--games", type=Path, help="a .pgn file; default: games are made up")
    parser.add_argument("--eval-tokens", type=int, default=8_000)
    parser.add_argument("--registry", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def study(
    options: argparse.Namespace, verb: str, stability: float, steps: int, seed: int = 0
) -> Study:
    """A study as the verb would make it."""
    session = open_session(verb, Output(quiet=True), options.registry, seed=seed)
    config = dataclasses.replace(
        UpdateConfig(), steps=steps, stability=stability, learning_rate=options.learning_rate
    )
    return Study(session, config, RepairConfig(), options.eval_tokens)


def trained(options: argparse.Namespace, domain: str, backbone: str, data: str) -> str:
    """The hosted name of a module, which is trained where the registry does not hold it."""
    made = study(options, "train", 0.0, 1).work
    try:
        made.registry.find("module", domain, backbone)
    except NotFoundError:
        config = dataclasses.replace(
            TrainConfig(), steps=options.train_steps, train_tokens=options.train_tokens,
            calibration_tokens=options.calibration_tokens,
        )  # fmt: skip
        run_train_job(made, TrainJob(backbone, domain, data, domain, config, options.eval_tokens))
    return f"{domain}@{backbone}"


def invariance(
    options: argparse.Namespace, backbone: str, stability: float, seed: int
) -> dict[str, Any]:
    """What `abi invariance` says of the module `python`, for one seed."""
    name = trained(options, "python", backbone, "python")
    made = study(options, "invariance", stability, options.steps, seed)
    return invariance_report(made, name, "prose2", 1)


def succession(options: argparse.Namespace, backbone: str) -> dict[str, Any]:
    """What `abi succession` says of `python` and `chess`."""
    games = options.games or options.registry / "games.pgn"
    if not games.exists():
        games.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, str(GAMES), "--games", "800", "--out", str(games)]
        subprocess.run(words, check=True)
    names = [
        trained(options, "python", backbone, "python"),
        trained(options, "chess", backbone, str(games)),
    ]
    made = study(options, "succession", 1.0, options.round_steps or options.steps)
    return succession_report(made, names, ["prose2"], options.rounds, "prose")


def gain(found: dict[str, Any]) -> float:
    """What the update brought on text of its own kind, in nats."""
    return math.log(found["update_ppl"]["before"] / found["update_ppl"]["after"])


def mean(rows: list[dict[str, Any]], of: Callable[[dict[str, Any]], float]) -> float:
    """The mean over seeds."""
    return statistics.mean(map(of, rows))


def percent(share: float | None) -> str:
    """A share of what a native gains."""
    return share_text(share, ".1%")


class Goals:
    """The goals that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def expect(self, what: str, found: float | None, goal: float, *, least: bool = True) -> None:
        """Notes a goal that was missed; what has no ceiling reaches none."""
        if found is None or ((found < goal) if least else (found > goal)):
            sign = ">=" if least else "<="
            self.missed.append(f"{what}: {share_text(found)}, goal {sign} {goal:g}")


def report(done: dict[str, Any]) -> int:
    """Prints what was measured and each goal that was missed; returns the exit status."""
    goals = Goals()
    updates: dict[str, list[dict[str, Any]]] = {}
    for key, found in done.items():
        if "rounds" not in found:
            updates.setdefault(key.rsplit(", ", 1)[0], []).append(found)
    titles = " zero-shot   repaired     random   repaired      small update gain"
    print(f"{'':29}{titles}")
    for key, rows in updates.items():
        seeds = [row["seeds"] for row in rows]
        without = updates.get(f"{key.partition(',')[0]}, stability 0", [])
        report_update(key, rows, [row for row in without if row["seeds"] in seeds], goals)
    for key, found in done.items():
        for row in found.get("rounds", []):
            report_round(key, row, goals)
    for line in goals.missed:
        print(f"  missed: {line}")
    return 1 if goals.missed else 0


def report_update(
    key: str, rows: list[dict[str, Any]], free: list[dict[str, Any]], goals: Goals
) -> None:
    """One backbone and one strength of the term; `free`: the same seeds without the term."""
    zero, repaired = (
        shares.mean(found["efficacy"] for found in which)
        for which in (rows, [row["repaired"] for row in rows])
    )
    random, refitted, small = (
        shares.mean(row["controls"][name]["efficacy"] for row in rows)
        for name in ("random_module", "random_repaired", "native_same_tokens")
    )
    faster = mean(rows, lambda f: f["repair_speedup"])
    print(
        f"{key:28}"
        + "".join(f"{percent(share):>11}" for share in (zero, repaired, random, refitted, small))
        + f"{mean(rows, gain):10.4f} nats   repair {faster:.1f} times cheaper; seeds "
        + " ".join(f"{percent(f['efficacy'])}/{percent(f['repaired']['efficacy'])}" for f in rows)
        + f"; {rows[0]['update']['steps']} steps, {mean(rows, processor):.0f} s a row"
    )
    for one in rows:
        seed = f"{key}, seed {one['seeds'][0]}"
        goals.expect(f"efficacy, {seed}", one["efficacy"], LEAST_EFFICACY)
        goals.expect(f"efficacy repaired, {seed}", one["repaired"]["efficacy"], LEAST_EFFICACY)
    goals.expect(f"repair speed-up, {key}", faster, LEAST_SPEEDUP)
    if rows[0]["stability"] and free:
        cost = 1 - mean(rows, gain) / mean(free, gain)
        print(f"{'':28}the stability term costs {cost:.1%} of the update's gain")
        goals.expect(f"cost of the stability term, {key}", cost, MOST_COST, least=False)


def report_round(key: str, row: dict[str, Any], goals: Goals) -> None:
    """One round of a succession."""
    for name, systems in row["efficacy"].items():
        gate = row["gate"]["zero_shot"][name]
        print(
            f"{key}: round {row['round']} {name:20}{percent(systems['zero_shot']):>11}"
            f"{percent(systems['repaired']):>11} repaired; general "
            f"{gate['general_worsens']:+.2f} % gated, "
            f"{gate['general_worsens_ungated']:+.1f} % not; "
            f"of the gain kept: {kept_text(gate['kept'])}"
        )
        what = f"{key}, round {row['round']}, {name}"
        goals.expect(f"efficacy, {what}", systems["zero_shot"], LEAST_AFTER_ROUNDS)
        goals.expect(
            f"general text behind the gate, {what}", gate["general_worsens"], MOST_WORSE,
            least=False,
        )  # fmt: skip
        goals.expect(f"gain kept by the gate, {what}", gate["kept"], LEAST_KEPT)


def processor(found: dict[str, Any]) -> float:
    """Processor seconds of a row."""
    return found["row_seconds"]["processor"]


if __name__ == "__main__":
    sys.exit(main())
