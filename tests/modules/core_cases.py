"""Tiny cores and modules with something to say."""

from __future__ import annotations

from typing import Any

import torch

from tests.backbones.layercake_cores import perturb, tiny_core
from transplant.backbones.core import CoreBackbone
from transplant.backbones.views import view_of
from transplant.modules.core import CoreHosted
from transplant.modules.forms import CORE_FORMS

SIDE_BY_SIDE = {"law": "lite", "code": "full", "tales": "lite"}


WEIGHT = 0.625


def core_of(tokenizer, forms, **changes) -> CoreBackbone:
    core = tiny_core(forms, vocab_size=len(tokenizer), **changes)
    view = view_of("cake", core, tokenizer)
    assert isinstance(view, CoreBackbone)
    return view


def drawn_module(form, d_abi=16) -> Any:
    """A module that says something: a new one is silent."""
    return drawn(CORE_FORMS[form](d_abi))


def drawn(module: Any) -> Any:
    return perturb(module).eval()


def correction_of(core, module) -> Any:
    return CoreHosted(core, module).correction


def draw_z(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))
