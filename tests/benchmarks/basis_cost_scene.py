"""The setting of `bench_basis_cost`: a backbone, its maps and its texts; processor seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import transplant
from registry import REFERENCE
from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.basis.allocate import allocate_exact
from transplant.basis.choices import Choices, choices_of
from transplant.basis.config import AdaptConfig, AllocateConfig, FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import Basis, fit_basis
from transplant.basis.maps import select_maps
from transplant.text.windows import first_windows
from transplant.workflows.corpus import read_as_needed, windows_of

WINDOW = AdaptConfig.window
HELD = 20_000


class Scene:
    """A backbone, its maps, and its texts.

    Args:
        name: of a registered backbone, or `llama`.
        data: a corpus.
        budget: the rank of the LoRA whose parameters are the budget.
    """

    def __init__(self, name: str, data: str, budget: int) -> None:
        self.work = transplant.Workspace()
        self.backbone = wide_llama() if name == "llama" else self.work.backbone(name)
        self.maps = select_maps(self.backbone)
        self.budget = budget * sum(m.out + m.into for m in self.maps)
        config = AdaptConfig()
        splits = read_as_needed(
            self.work, data, train=config.train_tokens, calibration=HELD, evaluation=10_000
        )
        self.train = windows_of(self.backbone, splits.train, WINDOW, config.train_tokens)
        self.held = windows_of(self.backbone, splits.calibration, WINDOW, HELD)
        self.judged = windows_of(self.backbone, splits.eval, WINDOW, 10_000)
        self.split = splits.fingerprint

    def choices(self, scores: Mapping[str, Tensor]) -> dict[str, Choices]:
        """The ranks that each map may take."""
        return {
            name: choices_of(
                score.tolist(), lambda r: r * r, step=AllocateConfig.step, r_min=0, r_max=None
            )
            for name, score in scores.items()
        }

    def fit(self, tokens: int) -> Basis:
        """A basis by the default recipe, of the first tokens of the training split."""
        windows = first_windows(self.train, tokens)
        return fit_basis(self.backbone, self.maps, windows, FitConfig())

    def allocate(self, basis: Basis, tokens: int) -> dict[str, int]:
        """Ranks within the budget, by Fisher scores of as many tokens."""
        windows = first_windows(self.train, tokens)
        scores = fisher_scores(self.backbone, self.maps, basis.spectra, windows)
        return allocate_exact(self.choices(scores), self.budget)


def wide_llama() -> Backbone:
    """Six layers of the shape of SmolLM2-135M, and its number of tokens."""
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "ref-llama")
    config = LlamaConfig(
        vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=6,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=1024,
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    return view_of("llama", LlamaForCausalLM(config).to(torch.bfloat16), tokenizer)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, and what came of it."""
    began = time.process_time()
    found = run()
    return time.process_time() - began, found
