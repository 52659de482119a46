"""What updates of a backbone leave of its modules: efficacy, its price, and a succession of three.

    python tests/benchmarks/bench_invariance.py [--seeds 3] [--steps 1000] [--out FILE]

For each backbone: a `python` module, then updates on `prose2` without the stability term and with
it, each with its controls; then three rounds with two modules, `python` and `chess`. Everything
that is measured is written to --out as soon as it is there, and a run that is started again with
the same --out and --registry goes on from it. The whole of it takes hours on two cores:
`--seeds 1 --steps 200 --eval-tokens 12000` is what fits into one. Exits 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands.invariance_report import invariance_report
from commands.options import REPAIR, TRAIN, UPDATE
from commands.output import Output
from commands.session import Session
from commands.succession_report import succession_report
from commands.training import TrainJob, run_train_job
from commands.updating import Study
from transplant.errors import NotFoundError

GAMES = Path(__file__).parents[2] / "examples" / "make_games.py"
LEAST_EFFICACY, MOST_COST, LEAST_SPEEDUP, LEAST_AFTER_ROUNDS = 0.80, 0.02, 20.0, 0.70


def main() -> int:
    """Measures what is not in --out yet, prints the tables, and compares with the goals."""
    options = parse()
    options.registry = options.registry or Path(tempfile.mkdtemp(prefix="bench-invariance-"))
    done = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}

    def measure(key: str, work: Callable[[], dict[str, Any]]) -> None:
        if key not in done:
            print(f"{key} ...", file=sys.stderr, flush=True)
            done[key] = {k: v for k, v in work().items() if k != "made"}
            if options.out:
                options.out.write_text(json.dumps(done, indent=1) + "\n")

    for backbone in filter(None, options.backbones.split(",")):
        for stability in (0.0, 1.0):
            key = f"{backbone}, stability {stability:g}"
            measure(key, lambda b=backbone, s=stability: invariance(options, b, s))
    for backbone in filter(None, options.succession.split(",")):
        key = f"{backbone}, {options.rounds} rounds"
        measure(key, lambda b=backbone: succession(options, b))
    return report(done)


def parse() -> argparse.Namespace:
    """The options; the defaults are what the goals are about."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", default="ref-gpt2,ref-llama,ref-t5")
    parser.add_argument("--succession", default="ref-gpt2", help="backbones of the rounds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=UPDATE.steps)
    parser.add_argument("--learning-rate", type=float, default=UPDATE.learning_rate)
    parser.add_argument("--train-steps", type=int, default=250, help="of modules and natives")
    parser.add_argument("--train-tokens", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-steps", type=int, help="default: as --steps")
    parser.add_argument("--games", type=Path, help="a .pgn file; default: games are made up")
    parser.add_argument("--eval-tokens", type=int, default=40_000)
    parser.add_argument("--registry", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def study(options: argparse.Namespace, verb: str, stability: float, steps: int) -> Study:
    """A study as the verb would make it."""
    session = Session(verb, {}, Output(quiet=True), 0, "cpu", options.registry)
    config = dataclasses.replace(
        UPDATE, steps=steps, stability=stability, learning_rate=options.learning_rate
    )
    return Study(session, config, REPAIR, options.eval_tokens)


def trained(options: argparse.Namespace, domain: str, backbone: str, data: str) -> str:
    """The hosted name of a module, which is trained where the registry does not hold it."""
    made = study(options, "train", 0.0, 1).session
    try:
        made.registry.find("module", domain, backbone)
    except NotFoundError:
        config = dataclasses.replace(
            TRAIN, steps=options.train_steps, train_tokens=options.train_tokens
        )
        run_train_job(made, TrainJob(backbone, domain, data, domain, config, options.eval_tokens))
    return f"{domain}@{backbone}"


def invariance(options: argparse.Namespace, backbone: str, stability: float) -> dict[str, Any]:
    """What `abi invariance` says of the module `python`."""
    name = trained(options, "python", backbone, "python")
    made = study(options, "invariance", stability, options.steps)
    return invariance_report(made, name, "prose2", options.seeds)


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


def report(done: dict[str, Any]) -> int:
    """Prints what was measured and each goal that was missed; returns the exit status."""
    missed = []

    def expect(what: str, found: float, goal: float, *, least: bool = True) -> None:
        if (found < goal) if least else (found > goal):
            missed.append(f"{what}: {found:.3f}, goal {'>=' if least else '<='} {goal:g}")

    print(f"{'':28}{'zero-shot':>10}{'repaired':>10}{'random':>9}{'small':>8}{'update gain':>13}")
    for key, found in done.items():
        if "rounds" in found:
            continue
        controls = found["controls"]
        print(
            f"{key:28}{found['efficacy']:10.1%}{found['repaired']['efficacy']:10.1%}"
            f"{controls['random_module']['efficacy']:9.1%}"
            f"{controls['native_same_tokens']['efficacy']:8.1%}{gain(found):10.4f} nats"
            f"   repair {found['repair_speedup']:.1f} times cheaper"
        )
        expect(f"efficacy, {key}", found["efficacy"], LEAST_EFFICACY)
        expect(f"efficacy repaired, {key}", found["repaired"]["efficacy"], LEAST_EFFICACY)
        expect(f"repair speed-up, {key}", found["repair_speedup"], LEAST_SPEEDUP)
        free = done.get(key.replace("stability 1", "stability 0"))
        if found["stability"] and free:
            cost = 1 - gain(found) / gain(free)
            print(f"{'':28}the stability term costs {cost:.1%} of the update's gain")
            expect(f"cost of the stability term, {key}", cost, MOST_COST, least=False)
    for key, found in done.items():
        for row in found.get("rounds", []):
            for name, systems in row["efficacy"].items():
                print(
                    f"{key}: round {row['round']} {name:20}{systems['zero_shot']:8.1%}"
                    f"{systems['repaired']:8.1%} repaired"
                )
                what = f"efficacy, {key}, round {row['round']}, {name}"
                expect(what, systems["zero_shot"], LEAST_AFTER_ROUNDS)
    for line in missed:
        print(f"  missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
