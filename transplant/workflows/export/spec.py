"""The forms of an export by name, and what is asked of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transplant.errors import InputError

TRANSFORMERS, LORA, SAFETENSORS = "transformers", "lora", "safetensors"
FORMS = (TRANSFORMERS, LORA, SAFETENSORS)
"""The forms of an export, by name."""


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """What is exported, as what, and where to."""

    name: str
    """What is hosted: a module, a linear map or a LoRA, as `python@ref-gpt2`."""
    out: Path
    """The folder to be; it must not be there."""
    form: str | None = None
    """`transformers`: a folder that `AutoModelForCausalLM` loads; lora: one that PEFT loads, of a
    LoRA, alone or inside a basis, or of a linear map of the last layer; safetensors: plain tensors
    and their equation; None for lora of a LoRA, and transformers of all else."""
    with_backbone: bool = False
    """Whether the backbone's weights are copied, so that the folder stands alone."""
    code: bool = False
    """Whether the folder brings its code, for those who do not have this library."""
    with_token_counts: bool = False
    """Whether the counts of the training text's tokens are told: they tell of that text."""
    push: str | None = None
    """The repository of the hub that the folder is sent to, too; a new one is private."""
    public: bool = False
    """Whether a repository that is made by `push` is visible to all."""

    def __post_init__(self) -> None:
        """Refuses what makes no sense together.

        Raises:
            InputError: an unknown form, or an option of another one.
        """
        if self.form not in (None, *FORMS):
            raise InputError("`form`", expected=f"one of {', '.join(FORMS)}", found=self.form)
        if self.public and self.push is None:
            raise InputError("`public` has no use here", expected="`push` beside it")
        for option in ("with_backbone", "code"):
            if getattr(self, option) and self.form not in (None, TRANSFORMERS):
                raise InputError(
                    f"`{option}` has no use here", expected=f"`form={TRANSFORMERS!r}`",
                    found=self.form,
                )  # fmt: skip
