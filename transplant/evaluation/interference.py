"""Non-interference: what each module does to text that is not its own, alone and with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.evaluation.likelihood import Corrector, Likelihood, score_documents
from transplant.modules.correction import Correction
from transplant.modules.gate import Gated
from transplant.text.windows import Window

NONE, ALL = "none", "all"


class Together(nn.Module):
    """Several corrections on one backbone, added up.

    Args:
        corrections: each reads the backbone's own hidden states.
    """

    def __init__(self, corrections: Sequence[Correction | Gated]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(corrections)

    @property
    def taps(self) -> tuple[int, ...]:
        """The taps that any of them reads."""
        return tuple(sorted({tap for part in self._corrections for tap in part.taps}))

    def forward(self, taps: Mapping[int, Tensor], windows: Tensor | None = None) -> Tensor:
        """The sum of the corrections [..., d_model]."""
        return torch.stack([part(taps, windows) for part in self._corrections]).sum(0)

    @property
    def _corrections(self) -> list[Correction | Gated]:
        return [part for part in self.parts if isinstance(part, Correction | Gated)]


def interference(
    backbone: Backbone,
    corrections: Mapping[str, Correction | Gated],
    texts: Mapping[str, Sequence[Window]],
) -> dict[str, dict[str, float]]:
    """Perplexities: what is attached -> text -> perplexity.

    Args:
        backbone: the language model.
        corrections: by the name of the module, behind its gate or not.
        texts: held-out windows, by name.

    Returns:
        A row for no module, for each alone, and, of two or more, for all of them together.
    """
    return perplexities(attached_scores(backbone, corrections, texts))


def attached_scores(
    backbone: Backbone,
    corrections: Mapping[str, Correction | Gated],
    texts: Mapping[str, Sequence[Window]],
) -> dict[str, dict[str, Likelihood]]:
    """The same as likelihoods, by document."""
    attached: dict[str, Corrector | None] = {NONE: None, **corrections}
    if len(corrections) > 1:
        attached[ALL] = Together([*corrections.values()])
    columns = {
        text: score_documents(backbone, windows, attached) for text, windows in texts.items()
    }
    return {name: {text: columns[text][name] for text in texts} for name in attached}


def perplexities(scores: Mapping[str, Mapping[str, Likelihood]]) -> dict[str, dict[str, float]]:
    """Those of likelihoods that are found by two names, as of what is attached and of a text."""
    return {
        name: {text: found.perplexity for text, found in row.items()}
        for name, row in scores.items()
    }


def worsening(matrix: Mapping[str, Mapping[str, float]], text: str, name: str, base: str) -> float:
    """How much higher the perplexity of a text is with `name` attached than with `base`, in %."""
    return 100.0 * (matrix[name][text] / matrix[base][text] - 1.0)
