"""Folders of hosted models, written and read: a configuration, and the tensors of what is added.

The backbone is inside such a folder, or is referred to and compared by its fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from transplant.backbones.load import load_backbone
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, CorruptError, foreign
from transplant.exported.backbone_abi_hosted import folder_here
from transplant.exported.configuration_abi_hosted import AbiHostedConfig
from transplant.exported.hosting_abi_hosted import HostingModel, renamed
from transplant.exported.modeling_abi_hosted import WEIGHTS
from transplant.modules.stand_alone import StandAlone, build, refer_to

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Opened:
    """A folder of a hosted model, read: its backbone, and what is added."""

    name: str
    """`<folder>@<backbone>`."""
    backbone: Backbone
    shape: Mapping[str, Any]
    """As `StandAlone.shape` has it."""
    tensors: dict[str, Tensor]
    """`interface.proj_in.weight`, `linear.proj_out.weight`, ..."""

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of a part; empty where there is none."""
        dot = f"{name}."
        return {key.removeprefix(dot): t for key, t in self.tensors.items() if key.startswith(dot)}


def is_stand_alone(source: str | Path) -> bool:
    """Whether this is a folder that such a model was saved to."""
    from transformers import PreTrainedConfig

    if not (Path(source) / "config.json").is_file():
        return False
    with foreign(f"{source}/config.json cannot be read", CorruptError):
        found, _ = PreTrainedConfig.get_config_dict(source)
    return found.get("model_type") == AbiHostedConfig.model_type


def open_stand_alone(source: str | Path, **loading: Any) -> Opened:
    """Reads a folder that was saved or exported, or a repository of the hub that holds one.

    Args:
        source: the folder, or a hub id.
        loading: of `load_backbone`, for its backbone.

    Raises:
        BackboneError: the backbone is not where it was, or its weights are others.
        CorruptError: files that cannot be read.
    """
    from safetensors.torch import load_file

    folder = _folder_of(source)
    with foreign(f"{source} is no folder of a hosted model", CorruptError):
        config = AbiHostedConfig.from_pretrained(folder)
        tensors = load_file(folder / WEIGHTS)
    reference = config.backbone_reference
    place = _place(folder, reference)
    if place is None:
        loading = {**loading, "revision": reference.get("revision")}
    backbone = load_backbone(reference["id"], path=place, **loading)
    expected = reference.get("weights_sha256")
    if expected is not None and backbone.weights_sha256 != expected:
        raise BackboneError(
            f"the weights of {reference['id']} are not those that {source} was made for",
            expected=f"sha256 {expected[:12]}", found=backbone.weights_sha256[:12],
        )  # fmt: skip
    return Opened(f"{folder.name}@{reference['id']}", backbone, config.correction, tensors)


def _folder_of(source: str | Path) -> Path:
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    from transplant.backbones.hub_ids import can_be_hub_id, is_out_of_reach

    what = f"{source} is no folder, and no repository that is to be had"
    if not can_be_hub_id(str(source)):
        raise BackboneError(what, expected="a folder, or a hub id as owner/model", found=source)
    with foreign(what, BackboneError):
        return Path(snapshot_download(str(source), local_files_only=is_out_of_reach()))


def _place(folder: Path, reference: Mapping[str, Any]) -> Path | None:
    """The folder of a backbone; None where its hub knows it by its name."""
    if inner := reference.get("subfolder"):
        return folder / inner
    place, path = folder_here(dict(reference)), reference.get("path")
    if place is None and path is not None and reference.get("revision") is None:
        raise BackboneError(
            f"the backbone {reference['id']} is not at {path}",
            hint="save or export it with the backbone inside",
        )
    return place


class SavableModel(HostingModel):
    """A hosted model that is saved as the exported code is, and loaded again.

    Its tensors have one name in memory and another in a folder; `load_state_dict` takes both.
    """

    saved_as: ClassVar[Mapping[str, str]]
    """Beginnings of the names of tensors, and what they are in a folder; the backbone's first."""
    backbone: Backbone
    _for_others = False  # whether it goes where nobody knows this machine's folders

    @property
    def is_raw(self) -> bool:
        """Whether it is the backbone and nothing else."""
        raise NotImplementedError

    def stand_alone(self) -> StandAlone:
        """What it adds to the backbone, as the exported code builds it."""
        raise NotImplementedError

    @classmethod
    def opened(cls, folder: Opened) -> Any:
        """The model of a folder that was read."""
        raise NotImplementedError

    def check_savable(self) -> None:
        """Refuses what `save_pretrained` cannot write.

        Raises:
            InputError: the exported code has no such form.
        """
        if not self.is_raw:
            self.stand_alone()

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, state_dict: Any = None, **options: Any
    ) -> None:
        """Writes a folder that `from_pretrained`, `transplant.load` and the Auto classes load.

        It holds the tokenizer, what is added, and a reference to the backbone; the backbone itself
        where that was trained, or is nowhere to be found. Of a raw backbone it holds that.

        Args:
            save_directory: the folder.
            args: of `PreTrainedModel.save_pretrained`.
            state_dict: tensors by their names here, in place of the model's own.
            options: of `PreTrainedModel.save_pretrained`; besides `with_backbone`, whether the
                backbone is written in any case.

        Raises:
            InputError: the exported code has no such form.
        """
        inside = options.pop("with_backbone", False) or self._for_others
        tensors = self.state_dict() if state_dict is None else state_dict
        tokenizer: Any = self.backbone.tokenizer
        if self.is_raw:
            own = renamed(tensors, {next(iter(self.saved_as)): ""})
            self.inner.save_pretrained(save_directory, *args, state_dict=own, **options)
        else:
            added = self.stand_alone()
            reference, config = refer_to(self.backbone, inside=inside)
            made = build(added, self.backbone, reference, config)
            made.generation_config = self.generation_config
            own = renamed(tensors, self.saved_as)
            made.save_pretrained(save_directory, *args, state_dict=own, **options)
            if place := made.config.backbone_reference.get("subfolder"):
                tokenizer.save_pretrained(Path(save_directory) / place)
        tokenizer.save_pretrained(save_directory)

    @classmethod
    def from_pretrained(cls, source: Any, *_: Any, **options: Any) -> Any:
        """Loads what `save_pretrained` or an export wrote, as this class.

        Args:
            source: a folder, or a hub id.
            options: of `load_backbone`, for the backbone.

        Raises:
            BackboneError: the backbone is not where it was, or its weights are others.
            CorruptError: files that cannot be read.
        """
        return cls.opened(open_stand_alone(source, **options))

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Takes tensors by their names here, or by those that they have in a folder.

        Where none of them is the backbone's, as in a folder that refers to it, that stays as it is.
        """
        held: dict[str, Tensor] = self.state_dict()
        here = {there: here for here, there in self.saved_as.items()}
        named: dict[str, Any] = {}
        for name, tensor in state_dict.items():
            known = {} if name in held else renamed({name: tensor}, here)
            named |= known or {name: tensor}
        backbone = next(iter(self.saved_as))
        if not any(name.startswith(backbone) for name in named):
            named |= {name: one for name, one in held.items() if name.startswith(backbone)}
        return super().load_state_dict(named, *args, **options)

    def push_to_hub(self, *args: Any, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Sends what `save_pretrained` writes, and the backbone with it where no hub has that.

        Raises:
            InputError: it cannot be written; nothing was sent.
        """
        self.check_savable()
        self._for_others = self.backbone.revision is None
        try:
            return super().push_to_hub(*args, **options)
        finally:
            self._for_others = False
