"""The call that comes next after each verb: one, from one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transplant.workflows.calls import Call, Code, Facts, filled, made_last, words_of, written
from transplant.workflows.export.source import KINDS


def _call(verb: str, *names: str, **options: str | bool) -> Call:
    return Call(verb, names, options)


def _train(told: Facts) -> Call:
    if told.get("form"):
        return _call("paste", source="{core}", to="OTHER_CORE", domain="{domain}")
    return _call("transfer", module="{name}", to="OTHER_BACKBONE")


def _transfer(told: Facts) -> Call:
    unjudged = "curves" in told or str(told.get("native")) == "none"
    if unjudged and "tuned" in told:  # the donor of a student, which is no module
        return _call("validate", model="{name}", baseline="{target}")
    if unjudged:
        given = {name: told.get(name) for name in ("data", "domain_data")}
        texts = {name: text for name, text in given.items() if text not in (None, "prose")}
        named = {"name": "{own}"} if "name" in told else {}
        return _call("transfer", module="{donor}", to="{target}", **texts, **named, native="train",
                     replace=True)  # fmt: skip
    return _call("export", "{name}", "DIR")


def _nib(told: Facts) -> Call:
    if told.get("pass") and told.get("kind") in KINDS:
        return _call("export", "{candidate}", "DIR")
    if told.get("pass") or told.get("power"):
        return _call("perplexity", "{anchor}", "{candidate}")
    return _call("nib", anchor="{anchor}", candidate="{candidate}", power=True)


def _bridge(told: Facts) -> Call:
    if "donor" in told:
        return _call("calibrate", module="{donor}", to="{target}")
    return _call(
        "bridge_train", source="BANK:ffn.0", to="{onto}", layer="0", activations="FILE.h5",
        align="{own}",
    )  # fmt: skip


def _paste(told: Facts) -> Call:
    if told.get("dry_run"):
        return _call("paste", source="{source}", to="{to}")
    return _call("verify", "paste", source="{source}", to="{out}")


def _export(told: Facts) -> Call | Code:
    form, folder = told.get("form"), repr(str(told.get("out")))
    loader = str(told.get("loader", "AutoModelForCausalLM"))
    if form == "lora":
        loader = loader.replace("AutoModel", "AutoPeftModel")
        return Code(f"from peft import {loader}; {loader}.from_pretrained({folder})")
    if form != "transformers":
        return _call("list")
    if told.get("code"):
        read = f"{loader}.from_pretrained({folder}, trust_remote_code=True)"
        return Code(f"from transformers import {loader}; {read}")
    return Code(f"import transplant; transplant.load({folder})")


def _route(told: Facts) -> Code:
    tau, names = (
        told.get("tau"),
        "{model}|{baseline}".format_map({"model": "MODEL", "baseline": "BASELINE"} | dict(told)),
    )
    route = f"{tau:.6g}" if isinstance(tau, float) else "TAU"
    return Code(f"import transplant; transplant.load({names!r}, route={route})")


def _compare(told: Facts) -> Call:
    return _call("basis_fit", backbone="{backbone}", data=str(told.get("data") or "{domain}"),
                 name="BASIS")  # fmt: skip


def _adapt(told: Facts) -> Call:
    if told.get("out"):
        return _call("add", "{out}", name="NAME")
    return _call("validate", model="{name}", baseline="{on}")


def _uq(told: Facts) -> Call:
    if told.get("baseline") and written(told, "metrics.json"):
        return _call("route_sim", metrics="{metrics.json}")
    return _call("uq", model="{model}", baseline="BACKBONE")


def _trace(told: Facts) -> Call:
    if not written(told, "trace.json"):
        return _call("trace", model="{model}", out="trace")
    if (told.get("mode"), told.get("metric")) != ("ablation", "nll"):  # not what advice reads
        return _call("report", "{trace.json}", out="report.html")
    return _call("advise", source="DONOR", to="{backbone}", trace="{trace.json}")


def _succession(told: Facts) -> Call:
    first = next(iter(told.get("module_sha256") or ()), "MODULE")
    return _call("gate", module=first)


def _cfeval(told: Facts) -> Call:
    judged = isinstance(told.get("data"), Mapping)
    pairs = "own={judged}" if judged else "NAME=FILE"
    baseline = "{baseline}" if isinstance(told.get("baseline"), str) else "BACKBONE"
    return _call("validate", model="{model}", baseline=baseline, pairs=pairs)


def _validate(told: Facts) -> Call:
    if told.get("pass"):
        goes_out = told.get("kind") in KINDS
        return _call("export", "{model}", "DIR") if goes_out else _call("perplexity", "{model}")
    return _call("show", "{model}")


def _show(told: Facts) -> Call:
    if told.get("yaml"):
        return _call("run", "RECIPE.yaml", registry="OTHER_DIR")
    if told.get("kind") == "backbone":
        return _call("train", backbone="{name}", domain="DOMAIN")
    if told.get("kind") == "module":
        return _call("transfer", module="{hosted}", to="OTHER_BACKBONE")
    return _call("list", backbone="{on}")


def _perplexity(told: Facts) -> Call:
    first = [*told.get("models", ()), {"model": "NAME"}][0]
    return _call("generate", first["model"], prompt="TEXT")


def _run(told: Facts) -> Call:
    steps = told.get("steps") or [{}]
    if any(step.get("state") == "would run" for step in steps):
        return _call("run", "{recipe}")
    return _call("show", "{made}") if made_last(told) else _call("list")


NEXT: dict[str, Call | Code | Callable[[Facts], Call | Code]] = {
    "train": _train,
    "transfer": _transfer,
    "calibrate": _call("nib", anchor="NATIVE@{target}", candidate="{name}"),
    "paste": _paste,
    "extract": _call("inject", source="{name}:{piece}", to="BACKBONE", layer="0"),
    "inject": _call("nib", anchor="{to}", candidate="{name}"),
    "merge": _call("train", backbone="{name}", domain="DOMAIN"),
    "adapters": _call("validate", model="{name}", baseline="{backbone}"),
    "fuse": _call("validate", model="{name}", baseline="{on}"),
    "gate": _call("validate", model="{name}", baseline="{on}"),
    "train_core": _call("train", backbone="{name}", domain="DOMAIN", form="lite"),
    "train_reference": _call("train", backbone="{path}", domain="DOMAIN"),
    "export": _export,
    "basis_fit": _call("basis_allocate", "{name}", budget_like="lora:r=8"),
    "basis_allocate": _call("basis_adapt", "{name}", domain="DOMAIN"),
    "basis_adapt": _adapt,
    "basis_compare": _compare,
    "capture": _call("train", backbone="{backbone}", domain="DOMAIN", activations="{file}"),
    "tokenize_align": _call("advise", source="{source}", to="{to}"),
    "bridge_align": _bridge,
    "bridge_train": _call("inject", source="{source}", to="{to}", layer="{layer}", bridge="{own}"),
    "embed_init": _call("train", backbone="{name}", domain="DOMAIN"),
    "trace": _trace,
    "analyze": _call("advise", source="{backbone}", to="BACKBONE", catalog="FILE"),
    "nib": _nib,
    "verify": _call("list", "modules"),
    "ablate": _call("transfer", module="{donor}", to="{target}"),
    "compare": _call("train", backbone="CORE", domain="DOMAIN", form="lite"),
    "invariance": _call("succession", module="{module}", rounds="3"),
    "succession": _succession,
    "cfgen": _call("cfeval", model="MODEL", pairs="{out}"),
    "cfeval": _cfeval,
    "uq": _uq,
    "route_sim": _route,
    "validate": _validate,
    "demo": _call("list", "modules", registry="{registry}"),
    "add": _call("train", backbone="{name}", domain="DOMAIN"),
    "cores": _call("train_core", size="2M"),
    "list": _call("show", "NAME"),
    "inspect": _call("inject", source="{name}:{piece}", to="BACKBONE", layer="0"),
    "show": _show,
    "rm": _call("list"),
    "perplexity": _perplexity,
    "generate": _call("perplexity", "{model}"),
    "eval": _call("perplexity", "{model}"),
    "run": _run,
    "schema": _call("list", json=True),
    "report": _call("studio"),
    "studio": _call("report", "NAME", out="report.html"),
}
"""What comes next, by verb; words in braces are facts of the run, those in capitals the user's.

Not of `advise`, which names its own steps.
"""


def next_call(verb: str, asked: Facts, report: object) -> Call | Code:
    """The call that comes next; what it needs and is not known stands in capitals.

    Args:
        verb: its name in the library, such as `basis_fit`.
        asked: what it was given, by parameter.
        report: what it has reported.

    Raises:
        KeyError: no such verb.
    """
    told: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
    told |= dict(report) if isinstance(report, Mapping) else {}
    step = NEXT[verb]
    step = step(told) if callable(step) else step
    if isinstance(step, Code):
        return step
    words = words_of(told)
    names = tuple(filled(name, words) for name in step.names)
    options = {
        name: filled(value, words) if isinstance(value, str) else value
        for name, value in step.options.items()
    }
    return Call(step.verb, names, options)
