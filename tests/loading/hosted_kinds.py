"""The kinds of what `transplant.load` gives, and the logits of each."""

from __future__ import annotations

import torch

from tests.workflows.export.hosted_things import IDS

KINDS = ("raw", "module", "linear", "adapter", "core")


@torch.no_grad()
def logits_of(model):
    return model(IDS).logits
