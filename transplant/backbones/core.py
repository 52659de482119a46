"""LayerCake cores: decoder-only models with a shared space between the last block and the head."""

from __future__ import annotations

from typing import Any

from transplant.backbones.causal import CausalBackbone


class CoreBackbone(CausalBackbone):
    """A core. Its taps: 0 the embeddings, then each block, and last what the head reads."""

    @property
    def n_layers(self) -> int:
        """The blocks, and the way through the shared space."""
        return self.model.config.num_hidden_layers + 1

    @property
    def before_abi(self) -> int:
        """The tap that the core itself reads into the shared space: the last block's output."""
        return self.model.config.num_hidden_layers

    @property
    def d_abi(self) -> int:
        """The width of its shared space."""
        return self.model.config.d_abi

    @property
    def modules(self) -> dict[str, dict[str, Any]]:
        """The domain modules inside, by name: form, active, weight."""
        return self.model.config.domain_modules

    def switch_off(self) -> None:
        """Switches every module inside off, in memory: the core by itself."""
        for name in self.modules:
            self.model.set_active(name, False)
