"""Time of a whole-model trace on one thread, and how well a ranking by gradients stands in for it.

    python -m tests.benchmarks.bench_trace --model SMOLLM2 --state trace-state.json [--seconds 230]

It works for so many seconds at a time and goes on from the state file when it is called again; when
every target is measured, it writes the result. Seconds of all calls are added up; those of loading
the model and reading the text are not counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch

import transplant
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window
from transplant.tracing.config import PrefilterConfig, TraceConfig
from transplant.tracing.effects import Reading, trace
from transplant.tracing.gradients import estimate
from transplant.tracing.places import Places
from transplant.tracing.prefilter import rank_correlation
from transplant.tracing.targets import Target, all_targets
from transplant.workflows.corpus import read_splits
from transplant.workflows.trace.job import first_windows

CHUNK = 20  # targets between two looks at the clock
FILTER = PrefilterConfig()


def fresh(model: HostedModel, windows: list[Window], config: TraceConfig) -> dict[str, Any]:
    """The state before anything is measured: estimates, and the order in which to measure."""
    targets = all_targets(Places(model.backbone))
    began = time.perf_counter()
    found = estimate(Reading(model), windows, targets, config, FILTER.batch_tokens)
    seconds = time.perf_counter() - began
    top = found.abs().argsort(descending=True)[: FILTER.keep].tolist()
    draw = torch.Generator().manual_seed(config.seed)
    sample = torch.randperm(len(targets), generator=draw)[: FILTER.sample].tolist()
    first = sorted({*top, *sample})
    return {
        "targets": [target.name for target in targets],
        "estimates": found.tolist(),
        "sample": sample,
        "first": first,
        "order": [*first, *(n for n in range(len(targets)) if n not in first)],
        "effects": {},
        "gradient_seconds": seconds,
        "exact_seconds": {},
    }


def go_on(
    state: dict[str, Any],
    model: HostedModel,
    windows: list[Window],
    config: TraceConfig,
    until: float,
    path: Path,
) -> None:
    """Measures targets, in chunks, as long as the next chunk is likely to end in time."""
    targets: tuple[Target, ...] = all_targets(Places(model.backbone))
    longest = 0.0
    while left := [n for n in state["order"] if str(n) not in state["effects"]]:
        chosen = [n in state["first"] for n in left]
        chunk = left[: min(CHUNK, sum(chosen) or CHUNK)]
        if time.perf_counter() + longest > until:
            return
        began = time.perf_counter()
        found = trace(model, windows, [targets[n] for n in chunk], config)
        longest = max(longest, time.perf_counter() - began)
        for n, effect in zip(chunk, found.per_token().tolist(), strict=True):
            state["effects"][str(n)] = effect
            state["exact_seconds"][str(n)] = (time.perf_counter() - began) / len(chunk)
        path.write_text(json.dumps(state))
        print(f"{len(state['effects'])} of {len(targets)}, {longest:.1f} s a chunk", flush=True)


def result(state: dict[str, Any], windows: list[Window], config: TraceConfig) -> dict[str, Any]:
    """What the measured state shows."""
    count = len(state["targets"])
    exact = torch.tensor([state["effects"][str(n)] for n in range(count)]).double()
    estimates = torch.tensor(state["estimates"]).double()
    first = torch.tensor(state["first"])
    mixed = estimates.clone()
    mixed[first] = exact[first]
    heads = [n for n, name in enumerate(state["targets"]) if name.startswith("head")]
    seconds = state["exact_seconds"]
    prefiltered = sum(seconds[str(n)] for n in state["first"]) + state["gradient_seconds"]
    sample = state["sample"]
    best = exact.argsort(descending=True)[:10].tolist()
    return {
        "targets": count,
        "documents": len(windows),
        "tokens": sum(map(len, windows)),
        "threads": torch.get_num_threads(),
        "whole": {"seconds": sum(seconds.values())},
        "prefilter": {
            "seconds": prefiltered,
            "gradient_seconds": state["gradient_seconds"],
            "measured": len(first),
            "agreement_on_sample": rank_correlation(estimates[sample], exact[sample]),
            "agreement_of_estimates": rank_correlation(estimates, exact),
            "agreement_of_estimates_heads": rank_correlation(estimates[heads], exact[heads]),
            "agreement_of_ranking": rank_correlation(mixed, exact),
        },
        "first": {state["targets"][n]: exact[n].item() for n in best},
        "config": dataclasses.asdict(config),
    }


def main() -> None:
    """Goes on, and writes the result once all is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="prose")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--intervention", default="mean")
    parser.add_argument("--seconds", type=float, default=230.0)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("examples/results/trace.json"))
    given = parser.parse_args()
    began = time.perf_counter()
    config = TraceConfig(
        documents=given.documents, window=given.window, intervention=given.intervention
    )
    work = transplant.Workspace(dtype="float32", verb="bench_trace")
    model = work.load(given.model)
    windows = first_windows(model, read_splits(work, given.data), config)
    print(f"{len(windows)} documents, read in {time.perf_counter() - began:.0f} s", flush=True)
    if given.state.is_file():
        state = json.loads(given.state.read_text())
    else:
        state = fresh(model, windows, config)
        given.state.write_text(json.dumps(state))
        print(f"gradients: {state['gradient_seconds']:.1f} s", flush=True)
    go_on(state, model, windows, config, began + given.seconds, given.state)
    if len(state["effects"]) < len(state["targets"]):
        print("call again to go on")
        return
    found = {
        "model": Path(given.model).name,
        "data": given.data,
        **result(state, windows, config),
        "made": work.made(),
    }
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: found[key] for key in ("whole", "prefilter", "first")}, indent=1))


if __name__ == "__main__":
    main()
