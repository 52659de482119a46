"""A hosted model as lm-eval asks its models: `--model abi --model_args name=python@ref-gpt2`.

lm-eval finds models by names in its own table. `import transplant` puts `abi` there as soon as
lm-eval is imported; `python -m transplant.evidence.harness` is its command with that done.
"""

from __future__ import annotations

import copy
from typing import Any

from lm_eval.models.huggingface import HFLM

from transplant.loading.hosted import load


class AbiLM(HFLM):
    """`HFLM` around what `transplant.load` gives; the tokenizer is a copy, as HFLM changes it.

    Args:
        name: a hosted model, as `python@ref-gpt2`, a backbone or a folder; or one that is loaded.
        device: where to put it; `auto` where none is given.
        dtype: the arithmetic of the backbone; see `load_backbone`.
        revision: a hub revision of the backbone.
        route: of two names with a bar between: the threshold in nats.
        options: of `HFLM`: `batch_size`, `max_length`, `add_bos_token` and the like.
    """

    def __init__(
        self,
        name: Any,
        *,
        device: str | None = None,
        dtype: Any = "auto",
        revision: str | None = None,
        route: float | None = None,
        **options: Any,
    ) -> None:
        model: Any = name
        if isinstance(name, str):
            placed: dict[str, Any] = {"device": device or "auto", "dtype": dtype}
            placed |= {} if route is None else {"route": float(route)}
            model = load(name, revision=revision, **placed)
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
