"""Names of hosted models, in parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostedName:
    """What `python@ref-gpt2/d128` means; a library parses it, once a run."""

    module: str | None
    """The domain module; None for the raw backbone."""
    backbone: str
    """A registry name, a hub id or a folder."""
    d_abi: int | None = None
    """The width asked for; None for whichever there is."""

    def __str__(self) -> str:
        """The name as it was typed."""
        module = f"{self.module}@" if self.module else ""
        return f"{module}{self.backbone}" + (f"/d{self.d_abi}" if self.d_abi is not None else "")
