"""A LoRA moved to another backbone by every method of one table, on the same held-out documents.

    python tests/benchmarks/bench_peers.py --folder WORK [--pairs ref-gpt2:ref-llama] [--seeds 0]
        [--domain python] [--steps 250] [--cells "linear, prose;..."] [--minutes 4.5] [--out FILE]
        [--show]

LoRAs have rank 16 on all linear maps but the head. The donor's is trained on the domain's training
split; the ceiling is one that is trained on the target with the same text and as many steps. A
share of its gain is printed where that gain is 0.05 nats per token or more, and its interval above
0. Factors on what is moved are chosen on the same calibration text for every method. The methods of
others are written here as they were published (`peer_maps`), and no code of theirs is used.

Every cell is written to the result file when it is done, with the nats of every document, so that a
run can be stopped at any time and goes on where it was; training goes on from its last step. Exits
3 where a goal is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.peer_lora import teach
from tests.benchmarks.peer_maps import copied, cross_lora, theseus
from tests.benchmarks.peer_scene import BUDGET, GAINS, OTHER, RECIPE, Made, Scene, Unfinished
from tests.benchmarks.peer_table import COLUMNS, as_lists, lines, share_of
from transplant.calibration.changes.spec import LACKING, PUSH_FORWARD
from transplant.calibration.config import LEFT_OUT
from transplant.calibration.gain import scaled
from transplant.calibration.move import want
from transplant.calibration.output_map import donor_mix
from transplant.calibration.students.controls import SHUFFLED, student_controls
from transplant.calibration.students.copy import pairs_for
from transplant.calibration.students.lora_gain import nearest_best
from transplant.calibration.students.lora_run import LoraRun, PairsLearner, still, text_loss
from transplant.calibration.students.taught_windows import TaughtWindows, teacher_of
from transplant.evaluation.likelihood import score_documents
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import untrained_like
from transplant.surgery.lora.update import LoraUpdate
from transplant.surgery.task_vector import added_to, same_weights
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.move.ceiling import LENGTH, score_move_beside
from transplant.workflows.move.side_by_side import Beside

GOAL = {"linear, written": 0.60, "linear, unlabelled": 0.85}


def raw(_scene: Scene) -> Made:
    """The target as it is."""
    return Made(None, 0.0)


def retrained(scene: Scene) -> Made:
    """The ceiling."""
    found = scene.retrained
    return Made(LoraModel("lora", scene.target, found.update), found.seconds,
                {"steps": scene.steps, "history": found.history})  # fmt: skip


def retrained_on_budget(scene: Scene) -> Made:
    """A LoRA of the target that is trained on no more text than chooses the gain of a move."""
    found = scene.trained(scene.target, scene.domain, 60, BUDGET)
    return Made(LoraModel("lora", scene.target, found.update), found.seconds,
                {"tokens": BUDGET, "history": found.history})  # fmt: skip


def by_maps(maps: Callable[[Scene, LoraUpdate], LoraUpdate | None]) -> Callable[[Scene], Made]:
    """A cell that carries the pairs themselves."""

    def made(scene: Scene) -> Made:
        if scene.is_whole:
            return Made(None, 0.0, {"not_possible": "the donor is no LoRA"})
        update, _ = scene.donor_lora(scene.domain)
        began = time.process_time()
        found = maps(scene, update)
        if found is None:
            return Made(None, 0.0, {"not_possible": "shapes differ"})
        system, gain = scene.at_its_gain(found)
        return Made(system, time.process_time() - began, {"gain": gain})

    return made


def plain_copy(scene: Scene) -> Made:
    """The donor's pairs as they are; of a full fine-tune its task vector, added to the target."""
    if not scene.is_whole:
        return by_maps(lambda one, update: copied(one.donor, one.target, update))(scene)
    began, base, target = time.process_time(), scene.donor, scene.target
    tuned = scene.work.backbone(str(scene.tuned))
    if not same_weights(base, tuned, target):
        return Made(None, 0.0, {"not_possible": "shapes differ"})

    def loss_at(gain: float) -> float:
        return text_loss(added_to(base, tuned, target, gain), None, scene.held)

    gain, _ = nearest_best(loss_at, GAINS, {0.0: text_loss(target, None, scene.held)})
    found = added_to(base, tuned, target, gain)
    return Made(None, time.process_time() - began, {"gain": gain}, found)


def linear(scene: Scene, text: str, learned: str | None = None) -> Made:
    """The student linear; `learned` is the domain of the LoRA that teaches."""
    move = scene.move(text, learned)
    fitted = move.linear.calibrated
    facts = {"gain": fitted.gain, "pairs": move.pairing.fitted.rows, **move.text_facts}
    return Made(fitted.correction, scene.seconds[text, learned or scene.domain], facts)


def taught(scene: Scene, text: str, *, copied_first: bool = False, **mix: Any) -> Made:
    """The student lora; `mix` replaces the weights that the linear student has chosen.

    `copied_first`: it starts from the donor's pairs at their gain, as the student does where the
    target has such maps.

    Raises:
        Unfinished: the time is over.
    """
    move = scene.move(text)
    choice, target, pairing = move.linear, scene.target, move.pairing
    way = dataclasses.replace(choice.config, **mix)
    weights = donor_mix(way) if mix else choice.donor_mix
    teacher = teacher_of(
        target, move.output_map, weights,
        lambda: want(pairing, move.output_map, way, like=choice.wanted),
        inside=scene.inside != LEFT_OUT,
    )  # fmt: skip
    recipe = dataclasses.replace(RECIPE, steps=scene.taught_steps)
    windows = TaughtWindows(target, pairing.fitted, pairing.change, teacher, recipe.batch)
    learner = PairsLearner(target, recipe, scene.seed)
    begun = None
    if copied_first:
        update = pairs_for(move.donor, target, RECIPE)
        if update is None:
            return Made(None, 0.0, {"not_possible": "shapes differ"})
        begun, gain = scene.at_its_gain(update)
        learner = PairsLearner.of(target, still(update, gain))
    base = text_loss(target, begun, scene.held)
    run = LoraRun(learner, windows, scene.held, recipe, recipe.rates[0], base, scene.seed)
    settings = f"{scene.sizes} {recipe.steps}".replace(" ", "-")
    how = f"{text}-{'copied' if copied_first else bool(mix)}"
    how += f"-{scene.guidance:g}" if text == "written" else ""
    state = scene.folder / f"taught-{scene.domain}-{how}-{settings}-{scene.seed}.pt"
    spent = teach(run, state, scene.deadline)
    if spent is None:
        raise Unfinished(f"{state.name}: step {run.course.step}")
    system, gain = scene.at_its_gain(run.best)
    facts = {"gain": gain, "best_step": run.course.best_step, "history": run.course.history}
    return Made(system, scene.seconds[text, scene.domain] + spent, {**facts, **move.text_facts})


def untrained(scene: Scene) -> Made:
    """Random pairs, each product as large as the retrained LoRA's."""
    update = scene.retrained.update
    system, gain = scene.at_its_gain(untrained_like(update, scene.seed))
    return Made(system, 0.0, {"gain": gain})


def shuffled(scene: Scene) -> Made:
    """The student linear from pairs that do not belong together."""
    move = scene.move("unlabelled")
    found = student_controls(move.lesson, move.linear)[SHUFFLED]
    return Made(scaled(found, 1.0), 0.0)


CELLS: dict[str, Callable[[Scene], Made]] = {
    "raw": raw,
    "retrained": retrained,
    "retrained, the budget": retrained_on_budget,
    "plain copy": plain_copy,
    "Cross-LoRA": by_maps(lambda scene, update: cross_lora(scene.donor, scene.target, update)),
    "Theseus": by_maps(
        lambda scene, update: theseus(
            scene.donor, scene.target, update, scene.move("prose").pairing.fitted
        )
    ),
    "distilled, prose": lambda scene: taught(scene, "prose", donor_word=1.0, change=PUSH_FORWARD),
    "linear, prose": lambda scene: linear(scene, "prose"),
    "linear, unlabelled": lambda scene: linear(scene, "unlabelled"),
    "linear, written": lambda scene: linear(scene, "written"),
    "lora, unlabelled": lambda scene: taught(scene, "unlabelled"),
    "lora, written": lambda scene: taught(scene, "written"),
    "lora from the copy, unlabelled": lambda scene: taught(scene, "unlabelled", copied_first=True),
    "lora from the copy, written": lambda scene: taught(scene, "written", copied_first=True),
    "untrained": untrained,
    "another domain": lambda scene: linear(scene, "unlabelled", OTHER),
    "shuffled pairs": shuffled,
}
PROXY = "proxy tuning"
"""By itself: two models are read, at the characters at which both have a boundary."""


def run_cell(scene: Scene, name: str, eval_tokens: int) -> dict[str, Any]:
    """What is written of a cell."""
    documents = read_splits(scene.work, scene.domain).eval
    if name == PROXY:
        return run_proxy(scene, eval_tokens)
    made = CELLS[name](scene)
    found: dict[str, Any] = {"seconds": round(made.seconds, 1), **made.facts}
    if "not_possible" in found:
        return found
    windows = windows_of(scene.target, documents, 512, eval_tokens)
    scored = score_documents(made.backbone or scene.target, windows, {name: made.system})[name]
    return {**found, **as_lists(scored)}


@torch.no_grad()
def run_proxy(scene: Scene, eval_tokens: int) -> dict[str, Any]:
    """Donor and target side by side, beside the ceiling on windows of the same length."""
    move, began = scene.move("unlabelled"), time.process_time()
    ways = {
        f"{number}": Beside(0.0, gain, change)
        for number, (change, gain) in enumerate(product((PUSH_FORWARD, LACKING), GAINS))
    }
    calibration, documents = move.domain_text.calibration, move.domain_text.eval
    tried = score_move_beside(move, calibration, BUDGET // 2, {"raw": None}, ways).likelihoods
    way = ways[min(ways, key=lambda name: tried[name].per_token)]
    found = score_move_beside(move, documents, eval_tokens, {"raw": None}, {PROXY: way})
    seconds = time.process_time() - began
    windows = windows_of(scene.target, documents, LENGTH, eval_tokens)
    ceiling = LoraModel("lora", scene.target, scene.retrained.update)
    systems = {"raw": None, "retrained": ceiling}
    scored = score_documents(scene.target, windows, systems)
    return {
        "seconds": round(seconds, 1), **as_lists(found.likelihoods[PROXY]),
        "gain": way.gain, "change": way.change,
        "own_raw": as_lists(found.likelihoods["raw"]), "paired_share": found.paired_share,
        "raw": as_lists(scored["raw"]), "retrained": as_lists(scored["retrained"]),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the cells that are missing, as long as there is time, and prints all that there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("peers-work"), help="LoRAs in training")
    parser.add_argument("--pairs", default="ref-gpt2:ref-llama")
    parser.add_argument("--domain", default="python")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--cells", default="")
    parser.add_argument("--tuned", type=Path, help="the donor's LoRA or full fine-tune")
    parser.add_argument("--excerpts", type=int, default=150)
    parser.add_argument("--excerpt-chars", type=int, default=Scene.excerpt_chars)
    parser.add_argument("--steps", type=int, default=Scene.steps, help="of training a LoRA")
    parser.add_argument("--inside", default=Scene.inside, help="as of abi transfer")
    parser.add_argument("--guidance", type=float, default=Scene.guidance, help="of `written`")
    parser.add_argument("--taught-steps", type=int, default=Scene.taught_steps, help="of `lora`")
    parser.add_argument("--eval-tokens", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=4.5, help="no cell begins after them")
    parser.add_argument("--out", type=Path, default=Path("examples/results/peers.json"))
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    options = parser.parse_args(arguments)
    rows = json.loads(options.out.read_text()) if options.out.is_file() else {}
    deadline, missed = time.monotonic() + 60 * options.minutes, False
    asked = options.cells.split(";") if options.cells else [*CELLS, PROXY]
    for pair in options.pairs.split(","):
        for seed in map(int, options.seeds.split(",")):
            key = f"{pair} {options.domain} {seed}"
            cells = rows.setdefault(key, {})
            scene = Scene(
                *pair.split(":", 1), domain=options.domain, seed=seed, folder=options.folder,
                excerpts=options.excerpts, deadline=deadline,
                excerpt_chars=options.excerpt_chars, steps=options.steps, inside=options.inside,
                taught_steps=options.taught_steps, guidance=options.guidance, tuned=options.tuned,
            )  # fmt: skip
            for name in [] if options.show else asked:
                if name in cells or time.monotonic() > deadline:
                    continue
                try:
                    cells[name] = run_cell(scene, name, options.eval_tokens)
                except Unfinished as left:
                    print(left, file=sys.stderr)
                    break
                options.out.write_text(json.dumps(rows, indent=1) + "\n")
                print(f"{name}: {cells[name]['seconds']} s", file=sys.stderr)
            print(key)
            for row in (COLUMNS, *lines(cells, [*CELLS, PROXY])):
                print("  {:30} {:30} {:28} {:32} {:>7}".format(*row).rstrip())
            for name, goal in GOAL.items():
                share = share_of(cells, name)
                missed |= share is not None and share.mean < goal
    return 3 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
