"""The training of a module as it is asked for, checked before anything is loaded; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transplant.backbones.layercake.names import FORM_NAMES
from transplant.errors import InputError
from transplant.training.config import TrainConfig
from transplant.validation import Held, check_bounds

INSIDE = "a module inside a core reads what the core reads, and makes a new core"
OF_CORES = "`form` without `d_abi`, `taps` and `replace`"


@dataclass(frozen=True)
class TrainJob:
    """What to train, on what."""

    backbone: str
    """The backbone: a name of the library, a folder or a hub id."""
    domain: str
    """What the module is about; its default name."""
    data: str | None = None
    """The domain's text, several sources as A,B; None for the corpus of its name."""
    name: str | None = None
    """Name in the library; None for the domain, of a module inside a core <core>-<domain>."""
    config: TrainConfig = field(default_factory=TrainConfig)
    """The recipe."""
    eval_tokens: Held = 40_000
    """Held-out tokens to evaluate on."""
    form: str | None = None
    """Of a module inside a core, lite or full; None for a module behind an interface."""
    activations: Path | None = None
    """Rows of `capture()` in place of the text."""
    also_eval: Mapping[str, str] = field(default_factory=dict)
    """Another source of the domain to evaluate on, too, by name; nothing of it is trained on."""

    def __post_init__(self) -> None:
        """Refuses what makes no sense together.

        Raises:
            InputError: an unknown form, a shape of a module inside a core, which has the core's, or
                a text beside a file of rows.
        """
        check_bounds(self)
        if self.form not in (None, *FORM_NAMES):
            raise InputError("`form`", expected=f"one of {', '.join(FORM_NAMES)}", found=self.form)
        shape = (self.config.d_abi, self.config.taps)
        if self.form is not None and shape != (TrainConfig.d_abi, TrainConfig.taps):
            raise InputError(INSIDE, expected=OF_CORES)
        if self.activations is not None and self.data is not None:
            raise InputError("the text is in the file", expected="`data` or `activations`")
        if self.activations is not None and self.also_eval:
            raise InputError("a file holds no text to compare", expected="no `also_eval`")

    @property
    def source(self) -> str:
        """The domain's text."""
        return self.domain if self.data is None else self.data

    @property
    def called(self) -> str:
        """The module's name in the library, or that of the core that it makes."""
        inside = f"{Path(self.backbone).name}-{self.domain}"
        return self.name or (self.domain if self.form is None else inside)
