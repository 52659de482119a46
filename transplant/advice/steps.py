"""Steps that advice consists of: each a verb, its options, and why it is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from transplant.advice.measured import Candidate, Measured, Routed


@dataclass(frozen=True)
class Step:
    """A verb with its options, and why it stands there.

    Args:
        verb: its name, such as `bridge_train`.
        options: their values, by parameter.
        why: what it does for the move.
        names: what is worked on, where the verb takes it without an option's name.
    """

    verb: str
    options: Mapping[str, str]
    why: str
    names: tuple[str, ...] = ()


def transfer_step(name: str, found: Measured, target: str) -> Step:
    """A move of a module, with its evidence."""
    why = f"a map explains {found.r2:.0%} of what the donor's modules read"
    return Step("transfer", {"module": name, "to": target, "data": found.texts[0]}, why)


def paste_step(found: Measured, best: Candidate) -> Step:
    """A module's bytes, core to core."""
    why = "both cores have the same shared space: the bytes alone do it"
    domain = best.name.partition("@")[0]
    return Step("paste", {"source": found.donor, "to": found.target, "domain": domain}, why)


def embed_init_step(found: Measured, name: str) -> Step:
    """The target with the donor's tokens."""
    why = f"only {found.exact_text:.0%} of the text is in tokens that both have"
    options = {"source": found.donor, "to": found.target, "name": name, "data": found.texts[0]}
    return Step("embed_init", options, why)


def train_step(backbone: str, domain: str, why: str) -> Step:
    """A module trained on a backbone."""
    options = {"backbone": backbone, "domain": domain_name(domain)}
    if domain != domain_name(domain):
        options["data"] = domain
    return Step("train", options, why)


def show_step(candidate: Candidate, target: str) -> Step:
    """A look at what is there."""
    recorded = candidate.recovered_there
    kept = "" if recorded is None else f", recovered {recorded:.2f}"
    return Step("show", {}, f"it is on {target} already{kept}", (str(candidate.moved),))


def gate_step(module: str, route: Routed) -> Step:
    """A gate that keeps a module to its own text."""
    why = (
        f"documents lose {route.regress:.3f} nats per token even behind a route, more than the "
        f"{route.budget:g} that they may: a gate keeps the module to its own text"
    )
    return Step("gate", {"module": module}, why)


def moved_name(hosted: str) -> str:
    """What `abi transfer` calls a module that it has moved."""
    module, _, home = hosted.partition("@")
    return f"{module}-from-{short_name(home)}"


def domain_name(source: str) -> str:
    """A name for the domain of a text: `law` of `./texts/law.jsonl`."""
    last = source.rstrip("/").split("/")[-1]
    stem = re.sub(r"\.(txt|jsonl|parquet|pgn)$", "", last)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-") or "domain"


def short_name(backbone: str) -> str:
    """A backbone as a part of other names."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", backbone.rstrip("/").split("/")[-1])
