"""From numbers to advice: aligned? high-impact parts? vocabulary? several tasks? candidates?

                     one vocabulary?  no -> embed-init first, then as below
aligned as they are? yes -> paste
aligned by a map?    yes -> no module: train one at home, then transfer
                            one task: transfer the best candidate
                            several:  transfer each, then fuse
                     no  -> a part that matters: inject, behind trained bridges
                            none: train a module on the target itself
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from transplant.advice.config import Thresholds
from transplant.advice.measured import Candidate, Measured
from transplant.advice.steps import (
    Step,
    domain_name,
    embed_init_step,
    moved_name,
    paste_step,
    short_name,
    show_step,
    train_step,
    transfer_step,
)


@dataclass(frozen=True)
class Answer:
    """One question of the flow, and the number that it was answered by."""

    question: str
    yes: bool
    number: float | None
    """None where there was nothing to measure."""
    threshold: float
    rests_on: str


@dataclass(frozen=True)
class Advice:
    """What to do, in order; the first step comes next."""

    strategy: str
    answers: tuple[Answer, ...]
    steps: tuple[Step, ...]


def advise(found: Measured, against: Thresholds) -> Advice:
    """Decides; nothing but these numbers takes part."""
    answers = answer(found, against)
    yes = {a.question: a.yes for a in answers}
    target, before = found.target, ()
    if yes["the same space?"] and found.candidates:
        best = _ranked(found.candidates)[0]
        return Advice("paste", answers, (paste_step(found, best),))
    if not yes["aligned?"]:
        strategy, steps = _without_alignment(found, yes["high-impact parts?"], yes["one task?"])
        return Advice(strategy, answers, steps)
    done = [c for c in found.candidates if c.moved]
    if not yes["one vocabulary?"] and len(done) < max(1, len(found.candidates)):
        target = f"{short_name(found.target)}-in-{short_name(found.donor)}-tokens"
        before = (embed_init_step(found, target),)
        fresh = tuple(dataclasses.replace(c, moved=None) for c in found.candidates)
        found = dataclasses.replace(found, candidates=fresh)  # nothing is on that target yet
    strategy, steps = _with_alignment(found, target, yes["one task?"], yes["several candidates?"])
    names = [strategy] if not before else ["embed-init", strategy]
    return Advice(" + ".join(names), answers, (*before, *steps))


def answer(found: Measured, against: Thresholds) -> tuple[Answer, ...]:
    """The questions of the flow, each with its number."""
    shared, impact = found.shared_cosine, max(found.impact.values(), default=None)
    apart, cosine = found.divergence, found.correction_cosine
    differ = apart is not None and apart >= against.divergence
    if cosine is not None:
        differ = differ or cosine < against.same_correction
    by_cosine = cosine is not None and (cosine < against.same_correction or apart is None)
    return (
        Answer(
            "the same space?", shared is not None and shared >= against.same_space, shared,
            against.same_space, "mean cosine of z, two cores as they are",
        ),
        Answer(
            "aligned?", found.r2 >= against.aligned, found.r2, against.aligned,
            "held-out R2 of the map from the target's layers to what the donor's modules read",
        ),
        Answer(
            "high-impact parts?", impact is not None and impact >= against.impact, impact,
            against.impact, "nats per token lost without the target's weightiest part"
            + (", by the trace" if found.traced else ""),
        ),
        Answer(
            "one vocabulary?", found.exact_text >= against.vocabulary, found.exact_text,
            against.vocabulary, "share of the text in tokens that both have",
        ),
        Answer(
            "one task?", not differ, cosine if by_cosine else apart,
            against.same_correction if by_cosine else against.divergence,
            "least cosine of two modules' corrections" if by_cosine
            else "largest divergence of two texts' tokens, in nats",
        ),
        Answer(
            "several candidates?", len(found.candidates) > 1, len(found.candidates), 2,
            "modules of the donor in the registry",
        ),
    )  # fmt: skip


def _with_alignment(
    found: Measured, target: str, one_task: bool, several: bool
) -> tuple[str, tuple[Step, ...]]:
    candidates = _ranked(found.candidates)
    if not candidates:
        domain = found.domain or found.texts[-1]
        made = f"{domain_name(domain)}@{found.donor}"
        return "train, then transfer", (
            train_step(found.donor, domain, "the donor has no module of this domain to move"),
            transfer_step(made, found, target),
        )
    chosen = candidates if several and not one_task else candidates[:1]
    moves = tuple(transfer_step(c.name, found, target) for c in chosen if not c.moved)
    if len(chosen) == 1:
        return ("transfer", moves) if moves else ("done", (show_step(chosen[0], target),))
    members = [c.moved or f"{moved_name(c.name)}@{target}" for c in chosen]
    layer = str(found.layers - 1)  # domain modules work behind the last
    why = f"{len(chosen)} modules of different tasks on one backbone, weighed at each position"
    fuse = Step("fuse", {"layer": layer}, why, tuple(members))
    return "transfer + fuse" if moves else "fuse", (*moves, fuse)


def _without_alignment(
    found: Measured, worth_it: bool, one_task: bool
) -> tuple[str, tuple[Step, ...]]:
    domain = found.domain or found.texts[-1]
    if not worth_it:
        why = "no map reads the donor's states, and no part of the target is worth replacing"
        return "train on the target", (train_step(found.target, domain, why),)
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
    return "inject + bridge-train", (
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
