"""The module of a row of `bench_sources`, moved to another backbone and judged there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from registry.store import Registry
from tests.benchmarks.source_bench import TOKENS, Bench
from tests.benchmarks.source_corpora import write_rows
from tests.benchmarks.source_rows import BASE, ROWS
from tests.benchmarks.source_table import moved_sources
from transplant.text.windows import texts_of
from transplant.workflows.train.job import TrainJob
from transplant.workflows.train.module import run_train_job
from transplant.workspace import Workspace

MOVE = ("ref-gpt2", "ref-llama")
MOVED = (
    "donor", "target", "recovered", "interval", "donor_attributable", "module_attributable",
    "best_donor_free", "best_module_free", "sources", "seconds",
)  # fmt: skip


def move(name: str, bench: Bench) -> dict[str, Any]:
    """The module of a row, trained in ref-gpt2, in ref-llama: on every source, with its controls.

    The windows that rows are judged on, those of any place, are documents here. Pairs are from the
    text that was trained on, without its next tokens.
    """
    (donor, target), sources, row = MOVE, bench.sources, ROWS[name]
    also = {}
    for source, judged in bench.judged("anywhere").items():
        also[source] = (
            sources.folder / f"windows-{source.replace('/', '.').replace(' ', '-')}.jsonl"
        )
        texts = texts_of(judged.windows, sources.judged[source])
        write_rows(also[source], ((source, one.text) for one in texts))
    work = Workspace(library=Registry.open(sources.folder / "registry"))
    called = name.replace(", ", "-")
    for backbone in MOVE:
        config = replace(BASE, **row.changed)
        job = TrainJob(backbone, "python", sources.texts[row.text], called, config, TOKENS)
        run_train_job(work, job, replace=True)
    whole = work.move(f"{called}@{donor}", target, pair_on=sources.texts[row.text])
    report = whole.transfer(
        native=called, eval_tokens=TOKENS, also_eval={n: str(p) for n, p in also.items()},
        replace=True,
    )  # fmt: skip
    for judged in moved_sources(report).values():
        del judged["source"]  # a path of this machine
    return {key: report[key] for key in MOVED}
