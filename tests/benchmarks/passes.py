"""Passes of a backbone over a text, bare and captured, and the ratio of their times."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import transplant
from transplant.activations.capture import Taps, capture, read_taps, token_table
from transplant.activations.layout import CaptureHeader, TokenTable
from transplant.activations.writer import ActivationWriter
from transplant.backbones.view import Backbone
from transplant.text.documents import read_documents
from transplant.text.windows import Window, batches, cut_windows

WINDOW = 512


@dataclass(frozen=True)
class Passes:
    """A backbone, and a text in the batches that capture makes of it."""

    backbone: Backbone
    windows: list[Window]
    tokens: TokenTable
    grouped: list[list[Window]]

    @classmethod
    def over(cls, name: str, data: str, max_tokens: int, *, full: int = 0) -> Passes:
        """Of about `max_tokens`; `full`: whole windows alone, and a multiple of so many of them."""
        backbone = transplant.load(name).backbone
        documents = read_documents(data, max_chars=1_000_000)
        shortest = WINDOW if full else 16
        windows = cut_windows(
            documents, backbone.tokenizer, WINDOW, min_length=shortest, max_tokens=max_tokens
        )
        if full:
            windows = windows[: max_tokens // WINDOW // full * full]
        tokens = token_table(backbone, documents, windows, "none")
        grouped = [[windows[n] for n in batch] for batch in batches(windows)]
        return cls(backbone, windows, tokens, grouped)

    def padded(self, batch: list[Window]) -> tuple[Tensor, Tensor]:
        """Token ids and mask of a batch, both [batch, longest]."""
        return self.backbone._pad([[*window.ids] for window in batch])

    @torch.no_grad()
    def bare(self) -> None:
        """The forward pass, from which nothing is kept."""
        reader = self.backbone.reader()
        for batch in self.grouped:
            ids, mask = self.padded(batch)
            reader(input_ids=ids, attention_mask=mask, use_cache=False)

    def to_memory(self, taps: Taps) -> None:
        """The same, keeping the rows of every tap."""
        kept = [read_taps(self.backbone, batch, taps) for batch in self.grouped]
        assert sum(len(read[taps.names[0]]) for read in kept) == self.tokens.rows

    def to_disk(self, taps: Taps, path: Path) -> None:
        """The same, into a new file."""
        header = CaptureHeader(
            backbone=self.backbone.name, family=self.backbone.family, backbone_sha256="",
            tokenizer_sha256="", corpus="", corpus_fingerprint="", window=WINDOW, pool="none",
            dtype="fp32", taps=taps.names, widths=(self.backbone.d_model,) * len(taps.names),
            made={},
        )  # fmt: skip
        with ActivationWriter.create(path, header, self.tokens) as writer:
            capture(
                self.backbone, self.windows, self.tokens, taps, writer, dtype="fp32", pool="none"
            )


def ratios(
    runs: Mapping[str, Callable[[], None]], bare: Callable[[], None], rounds: int
) -> dict[str, dict[str, Any]]:
    """Of each run, the median over rounds of its time over that of `bare` in the same round.

    All of them run once unmeasured; in each round they take turns in an order that is drawn anew:
    what a run leaves in the caches and in the heap is the start of the next one. `cpu` is the same
    ratio of processor time: steadier where cores are shared, but blind to waiting for the disk.
    """
    order = [bare, *runs.values()]
    for run in order:
        run()
    each: dict[str, list[float]] = {name: [] for name in runs}
    each_cpu: dict[str, list[float]] = {name: [] for name in runs}
    draw = random.Random(0)
    for _ in range(rounds):
        draw.shuffle(order)
        seconds, cpu = {}, {}
        for run in order:
            began, began_cpu = time.perf_counter(), time.process_time()
            run()
            seconds[run] = time.perf_counter() - began
            cpu[run] = time.process_time() - began_cpu
        for name, run in runs.items():
            each[name].append(seconds[run] / seconds[bare])
            each_cpu[name].append(cpu[run] / cpu[bare])
    return {
        name: {
            "median": statistics.median(each[name]),
            "cpu": statistics.median(each_cpu[name]),
            "each": [round(ratio, 3) for ratio in each[name]],
        }
        for name in runs
    }
