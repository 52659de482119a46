"""A hosted model as lm-eval asks its models: `--model abi --model_args pretrained=python@ref-gpt2`.

lm-eval finds models by names in its own table. `import transplant` puts `abi` there as soon as
lm-eval is imported; `python -m transplant.evidence.harness` is its command with that done.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from transplant.dtypes import AUTO
from transplant.errors import InputError
from transplant.loading.hosted import load


class AbiLM(HFLM):
    """`HFLM` around what `transplant.load` gives; the tokenizer is a copy, as HFLM changes it.

    Args:
        pretrained: a hosted model, as `python@ref-gpt2`, a backbone or a folder; or one that is
            loaded.
        name: the same under another name.
        device: where to put it; `auto` where none is given, and where it is a GPU and this machine
            has none: lm-eval's command asks for the first one by itself.
        dtype: the arithmetic of the backbone; see `load_backbone`.
        revision: a hub revision of the backbone.
        route: of two names with a bar between: the threshold in nats.
        options: of `HFLM`: `batch_size`, `max_length`, `add_bos_token` and the like.

    Raises:
        InputError: no model, or two.
    """

    def __init__(
        self,
        pretrained: Any = None,
        *,
        name: Any = None,
        device: str | None = None,
        dtype: Any = AUTO,
        revision: str | None = None,
        route: float | None = None,
        **options: Any,
    ) -> None:
        if (pretrained is None) == (name is None):
            raise InputError(
                "the arguments of lm-eval's model abi",
                expected="pretrained=NAME, as python@ref-gpt2",
                found="no model" if name is None else f"two: {pretrained} and {name}",
            )  # fmt: skip
        model: Any = name if pretrained is None else pretrained
        if isinstance(model, str):
            placed: dict[str, Any] = {"device": _at_hand(device), "dtype": dtype}
            placed |= {} if route is None else {"route": float(route)}
            model = load(model, revision=revision, **placed)
        self._hosted = model
        seq2seq = model.config.is_encoder_decoder
        begin: Any = super().__init__
        begin(
            pretrained=model, tokenizer=copy.deepcopy(model.tokenizer),
            backend="seq2seq" if seq2seq else "causal", **options,
        )  # fmt: skip

    def get_model_info(self) -> dict[str, Any]:
        """What results say of the model."""
        return {"name": self._hosted.name}


def _at_hand(device: str | None) -> str:
    """A device as `HFLM` takes it: where there is no GPU, one that was asked for is no matter."""
    no_gpu = device is not None and device.startswith("cuda") and not torch.cuda.is_available()
    return AUTO if device is None or no_gpu else device
