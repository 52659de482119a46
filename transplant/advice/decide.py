"""From numbers to advice: aligned? high-impact parts? vocabulary? several tasks? candidates?

                     one vocabulary?  no -> embed-init first, then as below
aligned as they are? yes -> paste
aligned by a map?    yes -> no module: train one at home, then transfer
                            one task: transfer the best candidate
                            several:  transfer each, then fuse
                            there already: done, or a gate where a route shows regress
                     no  -> a part that matters: inject, behind trained bridges
                            none: train a module on the target itself
whatever was made    -> validate, minimal pairs, uncertainty and a route to the baseline, pages
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from transplant.advice.config import Thresholds
from transplant.advice.measured import Candidate, Measured
from transplant.advice.proof import proof_steps
from transplant.advice.questions import Answer, answer
from transplant.advice.steps import (
    Step,
    domain_name,
    embed_init_step,
    gate_step,
    moved_name,
    paste_step,
    short_name,
    show_step,
    train_step,
    transfer_step,
)


@dataclass(frozen=True)
class Advice:
    """What to do, in order; the first step comes next."""

    strategy: str
    answers: tuple[Answer, ...]
    steps: tuple[Step, ...]
    proof: tuple[Step, ...] = ()
    """What then shows whether it worked."""


@dataclass(frozen=True)
class _Plan:
    """What is done, and the name of what comes of it."""

    strategy: str
    steps: tuple[Step, ...]
    made: str
    domain: str | None
    data: str | None = None
    """The text to judge it on, where its own record names none."""


def advise(found: Measured, against: Thresholds) -> Advice:
    """Decides; nothing but these numbers takes part."""
    answers = answer(found, against)
    yes = {a.question: a.yes for a in answers}
    target, before = found.target, ()

    def advice(plan: _Plan) -> Advice:
        named = " + ".join(["embed-init", plan.strategy] if before else [plan.strategy])
        proof = proof_steps(plan.made, target, found, domain=plan.domain, data=plan.data)
        return Advice(named, answers, (*before, *plan.steps), proof)

    if yes["the same space?"] and found.candidates:
        return advice(_pasted(found, _ranked(found.candidates)[0]))
    if not yes["aligned?"]:
        return advice(_without_alignment(found, yes["high-impact parts?"], yes["one task?"]))
    done = [c for c in found.candidates if c.moved]
    if not yes["one vocabulary?"] and len(done) < max(1, len(found.candidates)):
        target = f"{short_name(found.target)}-in-{short_name(found.donor)}-tokens"
        before = (embed_init_step(found, target),)
        fresh = tuple(dataclasses.replace(c, moved=None) for c in found.candidates)
        found = dataclasses.replace(found, candidates=fresh)  # nothing is on that target yet
    several = yes["several candidates?"] and not yes["one task?"]
    plan = _with_alignment(found, target, several)
    route = None if yes["no regress?"] else found.route
    if plan.strategy == "done" and route is not None and route.model == plan.made:
        step = gate_step(plan.made, route)
        plan = dataclasses.replace(plan, strategy="gate", steps=(step,))
    return advice(plan)


def _pasted(found: Measured, best: Candidate) -> _Plan:
    module = best.name.partition("@")[0]
    made = f"{module}@{short_name(found.target)}-{module}"
    return _Plan("paste", (paste_step(found, best),), made, best.domain)


def _with_alignment(found: Measured, target: str, several: bool) -> _Plan:
    candidates = _ranked(found.candidates)
    if not candidates:
        domain = found.domain or found.texts[-1]
        made = f"{domain_name(domain)}@{found.donor}"
        steps = (
            train_step(found.donor, domain, "the donor has no module of this domain to move"),
            transfer_step(made, found, target),
        )
        moved = f"{moved_name(made)}@{target}"
        return _Plan("train, then transfer", steps, moved, domain_name(domain))
    chosen = candidates if several else candidates[:1]
    moves = tuple(transfer_step(c.name, found, target) for c in chosen if not c.moved)
    members = [c.moved or f"{moved_name(c.name)}@{target}" for c in chosen]
    if len(chosen) == 1:
        steps = moves or (show_step(chosen[0], target),)
        return _Plan("transfer" if moves else "done", steps, members[0], chosen[0].domain)
    layer = str(found.layers - 1)  # domain modules work behind the last
    why = f"{len(chosen)} modules of different tasks on one backbone, weighed at each position"
    fuse = Step("fuse", {"layer": layer}, why, tuple(members))
    strategy = "transfer + fuse" if moves else "fuse"
    return _Plan(strategy, (*moves, fuse), f"fused@{target}", None, found.texts[0])


def _without_alignment(found: Measured, worth_it: bool, one_task: bool) -> _Plan:
    domain = found.domain or found.texts[-1]
    if not worth_it:
        why = "no map reads the donor's states, and no part of the target is worth replacing"
        name = domain_name(domain)
        step = train_step(found.target, domain, why)
        return _Plan("train on the target", (step,), f"{name}@{found.target}", name)
    place = max(found.impact, key=lambda name: found.impact[name])
    _, number, part = place.split(".")
    kind, layer = {"mlp": "ffn", "attn": "heads"}[part], int(number)
    file, block = f"{short_name(found.target)}-{place}.h5", _nearest_block(found, layer)
    held = found.bank is not None and f"{kind}.{block}" in found.pieces
    bank = found.bank if held else f"{short_name(found.donor)}-parts"
    source = f"{bank}:{kind}.{block}"
    specialists = 1 if one_task else max(2, len(found.texts))
    part_of = {"source": source, "to": found.target, "layer": number}
    text = {"data": found.texts[0]}
    extract = Step(
        "extract", {"backbone": found.donor, "components": kind, "name": str(bank)},
        "the pieces of the donor",
    )  # fmt: skip
    steps = (
        *(() if held else (extract,)),
        Step(
            "capture",
            {"backbone": found.target, **text, "taps": f"{place}.in,{place}", "out": file},
            f"what {place} reads and adds: it is worth {found.impact[place]:.2f} nats per token",
        ),
        Step(
            "bridge_train",
            {**part_of, "activations": file, "mixture": str(specialists)},
            "no map reads the donor's states: bridges are trained"
            + ("" if one_task else ", a specialist for each task")
            + _roles(found, kind, block),
        ),
        Step("inject", {**part_of, "bridge": "bridge", **text}, "the part at work"),
    )  # fmt: skip
    made = f"probe@{found.target}"  # as an injection is called where no name is given
    return _Plan("inject + bridge-train", steps, made, found.domain, found.texts[0])


def _roles(found: Measured, kind: str, block: int) -> str:
    """What is known of the heads that are taken."""
    roles = found.roles.get(block, ()) if kind == "heads" else ()
    named = [f"{roles.count(role)} {role}" for role in dict.fromkeys(roles)]
    return f"; roles of these heads: {', '.join(named)}" if named else ""


def _nearest_block(found: Measured, layer: int) -> int:
    """The donor's block that reads what is most like what the target's block reads.

    By the catalog, where it has compared them; else by how well it is predicted.
    """
    if layer in found.similar:
        return found.similar[layer]
    pairs = [p for p in found.pairs if p.donor < max((q.donor for q in found.pairs), default=0)]
    near = min((abs(p.target - layer) for p in pairs), default=0)
    best = [p for p in pairs if abs(p.target - layer) == near]
    return max(best, key=lambda p: p.r2).donor if best else 0


def _ranked(candidates: tuple[Candidate, ...]) -> list[Candidate]:
    """Best recorded move first; then what gains most at home."""

    def worth(candidate: Candidate) -> tuple[float, float]:
        known = (candidate.recovered, candidate.gained)
        return tuple(float("-inf") if value is None else value for value in known)  # pyright: ignore[reportReturnType]

    return sorted(candidates, key=worth, reverse=True)
