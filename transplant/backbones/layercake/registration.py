"""Makes `transformers` know LayerCake by its model type."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from transplant.backbones.layercake.config import LayerCakeConfig
from transplant.backbones.layercake.model import LayerCakeForCausalLM, LayerCakeModel


def register() -> None:
    """Lets the Auto classes load LayerCake folders; a second call changes nothing."""
    AutoConfig.register(LayerCakeConfig.model_type, LayerCakeConfig, exist_ok=True)
    AutoModel.register(LayerCakeConfig, LayerCakeModel, exist_ok=True)
    AutoModelForCausalLM.register(LayerCakeConfig, LayerCakeForCausalLM, exist_ok=True)
