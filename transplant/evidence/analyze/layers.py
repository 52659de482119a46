"""Rows of activations that are compared, and the similarity of layers on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import CorpusError

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.activations.reader import Activations
    from transplant.analysis.config import AnalysisConfig

BLOCK = 8_192  # rows that are read of a file at once


def inner_rows(acts: Activations) -> Tensor:
    """The rows that are not the first of a window, int64 ascending.

    The state of a first position is unlike all others, often a hundred times as large.
    """
    import torch

    inner = torch.ones(acts.committed, dtype=torch.bool)
    first = torch.from_numpy(acts.first_row[:-1]).long()
    inner[first[first < acts.committed]] = False
    return torch.nonzero(inner).flatten()


def spread(rows: Tensor, most: int) -> Tensor:
    """At most so many of some rows, evenly spread over them."""
    if len(rows) <= most:
        return rows
    import torch

    return rows[torch.linspace(0, len(rows) - 1, most).round().long()]


def read_rows(acts: Activations, tap: str, rows: Tensor) -> Tensor:
    """Some rows [n, width] of a tap in single precision, in the order asked for."""
    import torch

    order = rows.argsort()
    ascending = rows[order]
    read = []
    for block in acts.batches(BLOCK):
        inside = ascending[(ascending >= block.start) & (ascending < block.stop)]
        if len(inside):
            states = acts.tap(tap, int(inside[0]), int(inside[-1]) + 1)
            read.append(states[inside - inside[0]].float())
    found = torch.cat(read)
    placed = torch.empty_like(found)
    placed[order] = found
    return placed


def similarity_report(
    acts: Activations, other: Activations, config: AnalysisConfig, seed: int
) -> dict[str, Any]:
    """Linear CKA of every layer of one file with every layer of another, on held-out documents.

    Raises:
        CorpusError: the files have too few held-out positions in common.
    """
    from transplant.analysis.similarity import (
        LEAST,
        centred_kernel,
        kernel_alignment,
        shuffled,
    )

    ours, theirs, documents = held_out_pairs(acts, other, config.paired_rows)
    if len(ours) < LEAST:
        raise CorpusError(
            f"{acts.path} and {other.path} have too few held-out positions in common",
            expected=f"{LEAST} or more", found=len(ours),
            hint="`capture()` both of the same text",
        )  # fmt: skip
    own = {tap: centred_kernel(read_rows(acts, tap, ours)) for tap in layers_of(acts)}
    pairs: list[dict[str, Any]] = []
    for tap in layers_of(other):
        kernel = centred_kernel(read_rows(other, tap, theirs))
        strangers = shuffled(kernel, seed)
        for ours_tap, ours_kernel in own.items():
            pairs.append(
                {
                    "ours": int(ours_tap), "theirs": int(tap),
                    "cka": kernel_alignment(ours_kernel, kernel),
                    "shuffled": kernel_alignment(ours_kernel, strangers),
                }
            )  # fmt: skip
    return {
        "against": other.header.backbone,
        "against_sha256": other.header.weights_sha256,
        "rows": len(ours),
        "documents": documents,
        "pairs": pairs,
    }


def layers_of(acts: Activations) -> list[str]:
    """The taps that are layers, as the file names them."""
    return [tap for tap in acts.header.taps if tap.isdecimal()]


def held_out_pairs(acts: Activations, other: Activations, most: int) -> tuple[Tensor, Tensor, int]:
    """Rows of both files that have read the same held-out text, and of how many documents."""
    import torch

    from transplant.activations.match_files import aligned_pairs
    from transplant.activations.splits import windows_by_side

    ours, theirs = aligned_pairs(acts, other)
    held = torch.tensor(windows_by_side(acts)["eval"])
    first = torch.from_numpy(acts.first_row).long()
    windows = torch.searchsorted(first, ours, right=True) - 1
    kept = torch.isin(windows, held)
    kept &= torch.isin(ours, inner_rows(acts)) & torch.isin(theirs, inner_rows(other))
    chosen = spread(torch.nonzero(kept).flatten(), most)
    documents = torch.from_numpy(acts.document).long()[windows[chosen]]
    return ours[chosen], theirs[chosen], len(documents.unique())
