"""Processor time of a whole-model trace, and how well a ranking by gradients stands in for it.

    python -m tests.benchmarks.bench_trace [--model SMOLLM2 --state trace-state.json --seconds 230]

Targets are measured in random order, a few at a time, for so many seconds of a call; the next call
goes on from the state file. The result is of what is measured so far: of a random part of them
the mean tells the time of all targets. Loading the model and reading the text are not counted.
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
from transplant.evidence.trace.job import first_windows
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window
from transplant.tracing.config import PrefilterConfig, TraceConfig
from transplant.tracing.effects import Reading, trace
from transplant.tracing.gradients import estimate
from transplant.tracing.places import Places
from transplant.tracing.prefilter import rank_correlation
from transplant.tracing.targets import Target, all_targets
from transplant.workflows.corpus import read_splits

CHUNK = 4  # targets between two looks at the clock: their two intact passes count as well
FILTER = PrefilterConfig()


def fresh(model: HostedModel, windows: list[Window], config: TraceConfig) -> dict[str, Any]:
    """The state before anything is measured: estimates, and a random order to measure in."""
    targets = all_targets(Places(model.backbone))
    began, wall = time.process_time(), time.perf_counter()
    found = estimate(Reading(model), windows, targets, config, PrefilterConfig().batch_tokens)
    draw = torch.Generator().manual_seed(config.seed)
    return {
        "targets": [target.name for target in targets],
        "estimates": found.tolist(),
        "order": torch.randperm(len(targets), generator=draw).tolist(),
        "effects": {},
        "gradients": [time.process_time() - began, time.perf_counter() - wall],
        "seconds": {},
    }


def go_on(
    state: dict[str, Any],
    model: HostedModel,
    windows: list[Window],
    config: TraceConfig,
    until: float,
    path: Path | None,
) -> None:
    """Measures targets, in chunks, as long as the next chunk is likely to end in time."""
    targets: tuple[Target, ...] = all_targets(Places(model.backbone))
    longest = 0.0
    while left := [n for n in state["order"] if str(n) not in state["effects"]]:
        chunk = left[:CHUNK]
        if time.perf_counter() + longest > until:
            return
        began, wall = time.process_time(), time.perf_counter()
        found = trace(model, windows, [targets[n] for n in chunk], config)
        spent = time.process_time() - began
        longest = max(longest, time.perf_counter() - wall)
        for n, effect in zip(chunk, found.per_token().tolist(), strict=True):
            state["effects"][str(n)] = effect
            state["seconds"][str(n)] = spent / len(chunk)
        if path is not None:
            path.write_text(json.dumps(state))
        print(f"{len(state['effects'])} of {len(targets)}: {spent:.1f} s", flush=True)


def result(state: dict[str, Any], windows: list[Window], config: TraceConfig) -> dict[str, Any]:
    """What the targets that are measured show."""
    count, options = len(state["targets"]), PrefilterConfig()
    measured = sorted(map(int, state["effects"]))
    exact = torch.tensor([state["effects"][str(n)] for n in measured]).double()
    estimates = torch.tensor(state["estimates"]).double()[measured]
    heads = [i for i, n in enumerate(measured) if state["targets"][n].startswith("head")]
    each = sum(state["seconds"].values()) / len(measured)
    chosen = min(count, options.keep + options.sample)
    best = exact.argsort(descending=True)[:5].tolist()
    return {
        "targets": count,
        "documents": len(windows),
        "tokens": sum(map(len, windows)),
        "threads": torch.get_num_threads(),
        "measured": len(measured),
        "cpu_seconds": {
            "each": each,
            "whole": each * count,
            "gradients": state["gradients"][0],
            "prefiltered": each * chosen + state["gradients"][0],
        },
        "rank_agreement": {
            "all": rank_correlation(estimates, exact),
            "heads": rank_correlation(estimates[heads], exact[heads]),
        },
        "first": {state["targets"][measured[i]]: exact[i].item() for i in best},
        "config": dataclasses.asdict(config),
    }


def main() -> None:
    """Goes on, and writes the result of what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ref-llama")
    parser.add_argument("--data", default="python")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--intervention", default="mean")
    parser.add_argument("--seconds", type=float, default=230.0)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    began = time.perf_counter()
    config = TraceConfig(
        documents=given.documents, window=given.window, intervention=given.intervention
    )
    work = transplant.Workspace(dtype="float32", verb="bench_trace")
    model = work.load(given.model)
    windows = first_windows(model, read_splits(work, given.data), config)
    print(f"{len(windows)} documents, read in {time.perf_counter() - began:.0f} s", flush=True)
    if given.state is not None and given.state.is_file():
        state = json.loads(given.state.read_text())
    else:
        state = fresh(model, windows, config)
        print(f"gradients: {state['gradients'][0]:.1f} s", flush=True)
    go_on(state, model, windows, config, began + given.seconds, given.state)
    found = {
        "model": Path(given.model).name,
        "data": given.data,
        **result(state, windows, config),
        "made": work.made(),
    }
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(
        json.dumps({k: found[k] for k in ("measured", "cpu_seconds", "rank_agreement")}, indent=1)
    )


if __name__ == "__main__":
    main()
