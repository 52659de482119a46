"""Benchmark of `abi basis adapt --compress`: perplexity at a share of the parameters.

    python tests/benchmarks/bench_basis_compress.py --backbone ref-gpt2 --data python --ratio 0.8

Baselines, each at one share of every map's parameters:
  svd       the truncated SVD of W
  asvd      of W diag(a), a = (mean |x|)^0.5 by input (Yuan et al. 2023, arXiv 2312.05821), without
            its search of a rank for each map by sensitivity (STRS)
  svd-llm   of W S, S S' = E[x x'] (Wang et al. 2024, arXiv 2403.07378): its whitening, SVD-LLM (W),
            without the update of weights behind it
and BASIS with ranks by energy and by Fisher information under the same budget over all maps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import transplant
from transplant.backbones.view import Backbone
from transplant.basis.budget import energy_scores
from transplant.basis.compress import compressed_ranks, parameters_of, truncated, with_weights
from transplant.basis.config import FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import fit_basis
from transplant.basis.maps import LinearMap, select_maps
from transplant.basis.train import mean_loss
from transplant.text.windows import Window, first_windows
from transplant.workflows.corpus import read_as_needed, windows_of

RIDGE = 1e-6  # of the mean diagonal, so that E[x x'] has a Cholesky factor
ALPHA = 0.5  # of ASVD


def inputs_of(
    backbone: Backbone, maps: list[LinearMap], windows: list[Window]
) -> dict[str, tuple[Tensor, Tensor]]:
    """E[x x'] [in, in] and mean |x| [in] of each map, float64, of windows that are read alone."""
    sums = {m.name: (torch.zeros(m.into, m.into).double(), torch.zeros(m.into).double(), [0])
            for m in maps}  # fmt: skip

    def watch(name: str) -> Callable[..., None]:
        def see(_module: object, args: tuple[Tensor, ...], _output: Tensor) -> None:
            x = args[0].detach().reshape(-1, args[0].shape[-1]).double()
            xx, size, count = sums[name]
            xx += x.T @ x
            size += x.abs().sum(0)
            count[0] += len(x)

        return see

    hooks = [m.module.register_forward_hook(watch(m.name)) for m in maps]
    for window in windows:
        backbone.read([window])
    for hook in hooks:
        hook.remove()
    return {name: (xx / n[0], size / n[0]) for name, (xx, size, n) in sums.items()}


def low_rank(weight: Tensor, factor: Tensor, rank: int) -> Tensor:
    """The rank-r SVD of W F, times F^-1 [out, in]."""
    u, s, vh = torch.linalg.svd(weight @ factor, full_matrices=False)
    return torch.linalg.solve(factor.T, ((u[:, :rank] * s[:rank]) @ vh[:rank]).T).T


def factor_of(method: str, xx: Tensor, size: Tensor) -> Tensor:
    """F [in, in] of a baseline."""
    if method == "svd":
        return torch.eye(len(xx)).double()
    if method == "asvd":
        return torch.diag(size.clamp_min(1e-9) ** ALPHA)
    ridge = RIDGE * xx.diagonal().mean() * torch.eye(len(xx)).double()
    return torch.linalg.cholesky(xx + ridge)


def measure(backbone_name: str, data: str, ratio: float, tokens: int, eval_tokens: int) -> dict:
    """Perplexities of all methods on held-out documents."""
    work = transplant.Workspace()
    backbone = work.backbone(backbone_name)
    maps = select_maps(backbone)
    splits = read_as_needed(work, data, train=tokens, evaluation=eval_tokens)
    windows = windows_of(backbone, splits.train, 256, tokens)
    judged = windows_of(backbone, splits.eval, 256, eval_tokens)
    found: dict[str, dict[str, float]] = {}

    def judge(name: str, weights: dict[str, Tensor], kept: int, began: float) -> None:
        loss = mean_loss(with_weights(name, backbone, weights.items()), judged)
        found[name] = {
            "ppl": float(torch.tensor(loss).exp()), "kept": kept,
            "seconds": time.monotonic() - began,
        }  # fmt: skip
        print(f"{name:10} ppl {found[name]['ppl']:.3f}, {kept:,} parameters", flush=True)

    judge("dense", {}, sum(m.out * m.into for m in maps), time.monotonic())
    inputs = inputs_of(backbone, maps, windows)
    even = {m.name: int(ratio * m.out * m.into / (m.out + m.into)) for m in maps}
    for method in ("svd", "asvd", "svd-llm"):
        began = time.monotonic()
        cut = {
            m.name: low_rank(
                m.weight.detach().double(), factor_of(method, *inputs[m.name]), even[m.name]
            )
            for m in maps
        }
        judge(method, cut, parameters_of(maps, even), began)
    began = time.monotonic()
    widest = max(m.out for m in maps)
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=widest, tokens=tokens))
    looks = first_windows(windows, tokens // 3)
    scores = {
        "uniform": None, "energy": energy_scores(basis),
        "fisher": fisher_scores(backbone, maps, basis.spectra, looks),
    }  # fmt: skip
    for score, values in scores.items():
        ranks = even if values is None else compressed_ranks(
            maps, {n: v.tolist() for n, v in values.items()}, ratio, 4
        )  # fmt: skip
        cut = {
            m.name: truncated(m.weight, basis.spectra[m.name], ranks[m.name])
            for m in maps if ranks[m.name] < m.out
        }  # fmt: skip
        judge(f"basis-{score}", cut, parameters_of(maps, ranks), began)
    return {
        "backbone": backbone_name, "data": data, "ratio": ratio, "tokens": tokens,
        "eval_tokens": eval_tokens, "split": splits.fingerprint, "methods": found,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="ref-gpt2")
    parser.add_argument("--data", default="python")
    parser.add_argument("--ratio", type=float, default=0.8)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--eval-tokens", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    report = measure(given.backbone, given.data, given.ratio, given.tokens, given.eval_tokens)
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")
