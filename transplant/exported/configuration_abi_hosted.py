"""Configuration of a hosted model: a frozen backbone, an interface and a domain module.

This file needs `transformers` alone: it may stand beside the weights that it describes.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import PreTrainedConfig

SETTINGS_OF_LAYERS = {"rope_parameters", "rope_scaling", "layer_types", "mlp_layer_types"}
"""What a configuration with layers of its own rewrites where it finds it."""


class AbiHostedConfig(PreTrainedConfig):
    """Where the backbone is, how it is built, and what the correction reads.

    Settings that it has not itself are those of the backbone: `config.vocab_size` and the like.
    """

    model_type = "abi_hosted"
    keys_to_ignore_at_inference = ["past_key_values", "hidden_states"]
    text_config: Any = None
    """The backbone's own configuration."""
    backbone_reference: dict[str, Any] = field(default_factory=dict)
    """`id`, `revision` of a hub, `path` of a folder, or `subfolder` of this one; fingerprints."""
    correction: dict[str, Any] = field(default_factory=dict)
    """`d_model`, `d_abi`, `taps`, `last_tap`, `tap_norms`, `form` of the module, `gate`; of a
    `linear` form, `columns` of the bases in place of `d_abi` and `gate`."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Builds the backbone's configuration where it is a dict."""
        if isinstance(self.text_config, dict):
            from transformers import AutoConfig

            given = dict(self.text_config)
            self.text_config = AutoConfig.for_model(given.pop("model_type"), **given)
        if self.text_config is not None:
            self.is_encoder_decoder = self.text_config.is_encoder_decoder
        super().__post_init__(**kwargs)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Any:
        """The backbone's configuration of text."""
        inner = self.__dict__.get("text_config")
        if not isinstance(inner, PreTrainedConfig):
            return self
        return inner.get_text_config(decoder=decoder, encoder=encoder)

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get("text_config")
        own = name.startswith("_") or name in SETTINGS_OF_LAYERS
        if own or not isinstance(inner, PreTrainedConfig):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        text = inner.get_text_config()
        return getattr(text if hasattr(text, name) else inner, name)
