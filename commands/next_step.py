"""The next thing to type after each verb: one line, from one table."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Facts = Mapping[str, Any]
"""What a verb was asked with, and over that what it has reported."""


def _literal(text: str) -> str:
    """Text whose braces are braces."""
    return text.replace("{", "{{").replace("}", "}}")


def _train(told: Facts) -> str:
    if told.get("form"):
        return "abi paste --from {core} --to OTHER_CORE --domain {domain}"
    return "abi transfer --module {name} --to OTHER_BACKBONE"


def _transfer(told: Facts) -> str:
    if "curves" in told or str(told.get("native")) == "none":
        return "abi transfer --module {donor} --to {target} --native train --replace"
    return "abi export {name} DIR"


def _nib(told: Facts) -> str:
    if told.get("pass"):
        return "abi export {candidate} DIR"
    return "abi nib --anchor {anchor} --candidate {candidate} --power"


def _bridge(told: Facts) -> str:
    if "donor" not in told:
        part = "--from BANK:ffn.0 --to {onto} --layer 0"
        return f"abi bridge-train {part} --activations FILE.h5 --align {{own}}"
    return "abi calibrate --module {donor} --to {target}"


def _paste(told: Facts) -> str:
    if told.get("dry_run"):
        return "abi paste --from {source} --to {to}"
    return "abi verify paste --from {source} --to {out}"


def _export(told: Facts) -> str:
    forms = {"transformers": "AutoModelForCausalLM", "lora": "AutoPeftModelForCausalLM"}
    loader = forms.get(str(told.get("form")))
    return f"{loader}.from_pretrained({_literal(repr(str(told['out'])))})" if loader else "abi list"


def _adapt(told: Facts) -> str:
    if told.get("out"):
        return "abi add {out} --name NAME"
    return "abi validate --model {name} --baseline {backbone}"


def _written(told: Facts, name: str) -> str | None:
    """A file that was written, as a word of a command; None where none of that name was."""
    files = (file for file in told.get("files", ()) if Path(file).name == name)
    return next((_literal(shlex.quote(file)) for file in files), None)


def _uq(told: Facts) -> str:
    metrics = _written(told, "metrics.json")
    if told.get("baseline") and metrics:
        return f"abi route-sim --metrics {metrics}"
    return "abi uq --model {model} --baseline BACKBONE"


def _trace(told: Facts) -> str:
    if trace := _written(told, "trace.json"):
        if (told.get("mode"), told.get("metric")) != ("ablation", "nll"):  # not what advice reads
            return f"abi report {trace} --out report.html"
        return f"abi advise --from DONOR --to {{backbone}} --trace {trace}"
    return "abi trace --model {model} --out trace"


def _cfeval(told: Facts) -> str:
    data = told.get("data")
    if not isinstance(data, Mapping):
        return "abi validate --model {model} --baseline BACKBONE --pairs NAME=FILE"
    named = _literal(shlex.quote(f"own={data['source']}"))
    return f"abi validate --model {{model}} --baseline BACKBONE --pairs {named}"


def _show(told: Facts) -> str:
    if told.get("yaml"):
        return "abi run RECIPE.yaml --registry OTHER_DIR"
    if told.get("kind") == "backbone":
        return "abi train --backbone {name} --domain DOMAIN"
    if told.get("kind") == "module":
        return "abi transfer --module {hosted} --to OTHER_BACKBONE"
    return "abi list --backbone {on}"


def _run(told: Facts) -> str:
    steps = told.get("steps") or [{}]
    if any(step.get("state") == "would run" for step in steps):
        return "abi run {recipe}"
    made = [it for step in steps for it in step.get("made", ()) if it["kind"] != "interface"]
    if not made:
        return "abi list"
    last = made[-1]
    name = f"{last['name']}@{last['backbone']}" if last["backbone"] else last["name"]
    return f"abi show {_literal(shlex.quote(name))}"


NEXT: dict[str, str | Callable[[Facts], str]] = {
    "train": _train,
    "transfer": _transfer,
    "calibrate": "abi nib --anchor NATIVE@{target} --candidate {name}",
    "paste": _paste,
    "extract": "abi inject --from {name}:{piece} --to BACKBONE --layer 0",
    "inject": "abi nib --anchor {to} --candidate {name}",
    "merge": "abi train --backbone {name} --domain DOMAIN",
    "adapters": "abi validate --model {name} --baseline {backbone}",
    "fuse": "abi validate --model {name} --baseline {on}",
    "gate": "abi validate --model {name} --baseline {on}",
    "train-core": "abi train --backbone {name} --domain DOMAIN --form lite",
    "train-reference": "abi train --backbone {path} --domain DOMAIN",
    "export": _export,
    "basis fit": "abi basis allocate {name} --budget-like lora:r=8",
    "basis allocate": "abi basis adapt {name} --domain DOMAIN",
    "basis adapt": _adapt,
    "basis compare": "abi basis fit --backbone {backbone} --data {domain} --name BASIS",
    "advise": lambda told: _literal(str(told["next"])),
    "capture": "abi train --backbone {backbone} --domain DOMAIN --from-activations {file}",
    "tokenize-align": "abi advise --from {source} --to {to}",
    "bridge-align": _bridge,
    "bridge-train": "abi inject --from {source} --to {to} --layer {layer} --bridge {own}",
    "embed-init": "abi train --backbone {name} --domain DOMAIN",
    "trace": _trace,
    "analyze": "abi advise --from {backbone} --to BACKBONE --catalog FILE",
    "nib": _nib,
    "verify": "abi list modules",
    "ablate": "abi transfer --module {donor} --to {target}",
    "compare": "abi train --backbone CORE --domain DOMAIN --form lite",
    "invariance": "abi succession --module {module} --rounds 3",
    "succession": "abi gate --module MODULE",
    "cfgen": "abi cfeval --model MODEL --pairs {out}",
    "cfeval": _cfeval,
    "uq": _uq,
    "route-sim": "transplant.load('MODEL|BASELINE', route=TAU)",
    "validate": lambda told: "abi export {model} DIR" if told.get("pass") else "abi show {model}",
    "demo": "abi list modules --registry {registry}",
    "add": "abi train --backbone {name} --domain DOMAIN",
    "cores": "abi train-core --size 2M",
    "list": "abi show NAME",
    "inspect": "abi inject --from {name}:{piece} --to BACKBONE --layer 0",
    "show": _show,
    "rm": "abi list",
    "perplexity": "abi generate NAME --prompt TEXT",
    "generate": "abi perplexity NAME",
    "eval": "abi perplexity NAME",
    "run": _run,
    "schema": "abi list --json",
    "report": "abi studio",
    "studio": "abi report NAME --out report.html",
}
"""What comes next, by verb; words in braces are facts of the run, those in capitals the user's."""


class _Typed(dict[str, str]):
    """Facts as words of a command; one that is not known stands in capitals."""

    def __missing__(self, fact: str) -> str:
        return fact.upper()


def next_step(verb: str, asked: Facts, report: object) -> str:
    """The next thing to type.

    Args:
        verb: its name on the command line.
        asked: its options, by parameter.
        report: what it has reported.
    """
    told: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
    told |= dict(report) if isinstance(report, Mapping) else {}
    step = NEXT.get(verb, "abi --help")
    text = step if isinstance(step, str) else step(told)
    return text.format_map(_Typed(_words(told)))


def _words(told: Facts) -> dict[str, str]:
    """The facts that are words, quoted; parts of full names beside them."""
    words = {k: str(v) for k, v in told.items() if isinstance(v, str | int | Path)}
    own, _, backbone = words.get("hosted", words.get("name", "")).partition("@")
    words |= {"own": own, "on": backbone.rpartition("/d")[0] or backbone or own, "onto": backbone}
    words["core"] = words["on"]
    pieces = told.get("pieces")
    if isinstance(pieces, list) and pieces:
        first = pieces[0]
        words["piece"] = str(first["piece"] if isinstance(first, Mapping) else first)
    return {fact: shlex.quote(word) for fact, word in words.items() if word}
