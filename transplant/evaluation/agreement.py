"""How closely two models agree on the next token: the four numbers of the NIB.

The logits are walked in blocks of a few rows, so that every pass after the first finds its block in
the cache, and nothing of the size of the logits is ever allocated. Those that a head has yet to
compute (`LogitRows`) are computed for a block at a time. With d = x - max(x) and
p = softmax(d), one exponential per side gives the distribution and its entropy,

    H(p) = log sum exp(d) - sum p d,        log sum exp(d) = -log max(p)    (as max(d) = 0),

and one logarithm the divergence (Lin 1991, "Divergence measures based on the Shannon entropy"),

    JS = H(m) - (H(p) + H(q)) / 2,          m = (p + q) / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.errors import NumericalError, ShapeError
from transplant.evaluation.logit_rows import Logits, dense, row_blocks

TOP = 5
# Words per block and side (2 MiB of float32, four of them): small enough for the last-level cache,
# large enough that the threads rarely have to wait for one another.
_BLOCK_WORDS = 1 << 19
# Words share a maximum in groups of this many: the top 5 lie in the 5 groups with the best ones.
_GROUP = 128
# exp(-70) = 4e-31: nothing in a sum, yet its share of any vocabulary is a normal float32, so that a
# masked word (-inf) costs neither a NaN nor a denormal.
_FLOOR = -70.0
# Rows of both sides that are computed, and whose best groups are searched, at once.
_ROWS = 128


@dataclass(frozen=True)
class ChunkScore:
    """Agreement of two models on one chunk: means over its positions.

    `top5` and `top1` are shares in [0, 1]; `js` (Jensen-Shannon divergence, at most ln 2) and
    `entropy` (absolute difference of the two entropies) are in nats.
    """

    positions: int
    top5: float
    top1: float
    js: float
    entropy: float


def score_chunk(anchor_logits: Logits, candidate_logits: Logits) -> ChunkScore:
    """Scores how closely the candidate's next-token distributions follow the anchor's.

    Computed in float32 on the anchor's device. A word at -inf is masked: it has probability 0.
    Equal logits rank by index, lowest first: the top 5 of a coarse dtype are well defined.

    Args:
        anchor_logits: [positions, vocab], any float dtype.
        candidate_logits: [positions, vocab], over the same vocabulary.

    Raises:
        ShapeError: the shapes differ, are not two-dimensional, or hold fewer than 5 words.
        NumericalError: a logit is NaN or +inf, or every word of a position is masked.
    """
    _check_shapes(anchor_logits, candidate_logits)
    positions, vocab = anchor_logits.shape
    highest, entropies = [], []
    shared = same = 0
    for rows in row_blocks(positions, vocab, _ROWS):
        anchor, candidate = dense(anchor_logits[rows]), dense(candidate_logits[rows])
        _check_types(anchor, candidate)
        peaks, found = _statistics(anchor, candidate)
        highest.append(peaks.amax(dim=2))  # NaN wins every maximum
        entropies.append(found)
        if not highest[-1].isfinite().all():
            continue  # named below, with all such positions
        words = _top_words(anchor, peaks[0])
        others = _top_words(candidate, peaks[1]).to(words.device)
        shared += int((words.unsqueeze(2) == others.unsqueeze(1)).sum())  # [rows, 5, 5]
        same += int((words[:, 0] == others[:, 0]).sum())
    together = torch.cat(entropies, dim=1)  # [3, positions]: of p, q and m
    _check_finite(torch.cat(highest, dim=1), together)
    p_entropy, q_entropy, m_entropy = together.cpu().double()
    divergence = (m_entropy - (p_entropy + q_entropy) / 2).clamp_(min=0.0)
    return ChunkScore(
        positions=positions,
        top5=shared / (TOP * positions),
        top1=same / positions,
        js=divergence.mean().item(),
        entropy=(p_entropy - q_entropy).abs_().mean().item(),
    )


def _statistics(anchor: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
    """The largest logit of each group [2, rows, groups], and the entropies of p, q and m [3, rows].

    Args:
        anchor: logits [rows, vocab].
        candidate: the same of the other side.
    """
    positions, vocab = anchor.shape
    groups = -(-vocab // _GROUP)
    width = groups * _GROUP
    rows = max(1, min(positions, _BLOCK_WORDS // width))
    work = anchor.new_empty((2, 2, rows, width), dtype=torch.float32)
    peaks = anchor.new_empty((2, positions, groups), dtype=torch.float32)
    entropies = anchor.new_empty((3, positions), dtype=torch.float32)
    for start in range(0, positions, rows):
        block = slice(start, min(start + rows, positions))
        shifted, probabilities = work[:, :, : block.stop - start]  # [2, rows, width] each
        shifted[0, :, :vocab].copy_(anchor[block])
        shifted[1, :, :vocab].copy_(candidate[block])
        shifted[:, :, vocab:].fill_(-torch.inf)
        peaks[:, block] = shifted.unflatten(2, (groups, _GROUP)).amax(dim=3)
        shifted.sub_(peaks[:, block].amax(dim=2, keepdim=True)).clamp_(min=_FLOOR)
        entropies[:2, block] = _entropies(shifted, probabilities)
        entropies[2, block] = _mixture_entropy(*probabilities)
    return peaks, entropies


def _entropies(shifted: Tensor, probabilities: Tensor) -> Tensor:
    """Entropies of both sides in nats, [2, rows]; leaves softmax(shifted) in `probabilities`.

    Args:
        shifted: [2, rows, width], logits less their row's maximum; overwritten.
        probabilities: [2, rows, width].
    """
    torch.softmax(shifted, dim=2, out=probabilities)
    log_sum = probabilities.amax(dim=2).log_().neg_()
    return log_sum.sub_(shifted.mul_(probabilities).sum(dim=2))


def _mixture_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Entropy of (p + q) / 2 in nats, [rows]; overwrites both, [rows, width].

    With s = p + q, which sums to 2: H(s / 2) = ln 2 - sum(s log s) / 2.
    """
    both = p.add_(q)
    torch.log(both, out=q)
    return q.mul_(both).sum(dim=1).div_(-2.0).add_(math.log(2.0))


def _top_words(logits: Tensor, peaks: Tensor) -> Tensor:
    """Indices of the 5 largest logits, best first, [rows, 5].

    Exact: a word outside the 5 best groups comes after the best word of each of them. It holds
    among equal logits too, as groups are contiguous and both rankings prefer the lower index.

    Args:
        logits: [rows, vocab].
        peaks: [rows, groups], the largest logit of each group.
    """
    vocab = logits.shape[1]
    groups = _ranked(peaks, min(TOP, peaks.shape[1])).sort(dim=1).values
    within = torch.arange(_GROUP, device=groups.device)
    words = (groups.unsqueeze(2) * _GROUP + within).flatten(1)  # [rows, 5 * _GROUP]
    words = words.to(logits.device)
    values = logits.gather(1, words.clamp(max=vocab - 1)).float()
    values = values.clamp_(min=torch.finfo(torch.float32).min)
    values.masked_fill_(words >= vocab, -torch.inf)
    return words.gather(1, _ranked(values, TOP))


def _ranked(values: Tensor, count: int) -> Tensor:
    """Indices of the `count` largest values, the lower one first among equals, [rows, count]."""
    left = values.clamp(min=torch.finfo(values.dtype).min)
    picks = []
    for _ in range(count):
        pick = left.argmax(dim=1, keepdim=True)
        left.scatter_(1, pick, -torch.inf)
        picks.append(pick)
    return torch.cat(picks, dim=1)


def _check_shapes(anchor: Logits, candidate: Logits) -> None:
    if len(anchor.shape) != 2 or anchor.shape != candidate.shape:
        raise ShapeError(
            "the two sides' logits do not fit together",
            expected=f"[positions, vocab], the anchor's {list(anchor.shape)}",
            found=f"the candidate's {list(candidate.shape)}",
            hint="compare two models of one backbone, which share their vocabulary",
        )
    if anchor.shape[0] == 0 or anchor.shape[1] < TOP:
        raise ShapeError(
            "too few logits to compare",
            expected=f"at least one position and {TOP} words",
            found=list(anchor.shape),
        )


def _check_types(anchor: Tensor, candidate: Tensor) -> None:
    if not (anchor.is_floating_point() and candidate.is_floating_point()):
        raise ShapeError(
            "logits are floating-point numbers", found=f"{anchor.dtype} and {candidate.dtype}"
        )


def _check_finite(highest: Tensor, entropies: Tensor) -> None:
    """Refuses positions whose largest logits [2, positions] or entropies [3, positions] are off."""
    for side, name in enumerate(("anchor", "candidate")):
        good = highest[side].isfinite() & entropies[side].isfinite()
        if not good.all():
            raise NumericalError(
                f"the {name}'s logits are not finite at {int((~good).sum())} positions",
                expected="at least one finite word per position, and neither NaN nor +inf",
                found=f"a maximum of {highest[side][~good][0].item()}",
            )
