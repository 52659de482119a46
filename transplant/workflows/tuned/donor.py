"""A donor of a name: a base, and a LoRA, a model or a hosted part that was tuned on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, NotFoundError, NumericalError, foreign
from transplant.files.plain import expand
from transplant.surgery.lora.folder import CONFIG, WEIGHTS
from transplant.workflows.tuned.recorded_base import check_base
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from transplant.backbones.view import Backbone
    from transplant.modules.correction import Correction
    from transplant.modules.hosted import HostedModel
    from transplant.modules.tuned import Head, TunedDonor

PROBED = 16  # tokens that both read, to see that something changes
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Tuned:
    """A tuned copy of a base, loaded."""

    kind: str
    """`lora`, `model`, or `hosted`: what stands in the library under `<name>@<base>`."""
    model: HostedModel
    sha256: str
    """Of its weights."""
    head: Head | None = None
    """Its head, where that is not its backbone's."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What else is known of it."""


def load_donor(
    work: Work, donor: str, tuned: str, *, other_base: bool = False, with_module: bool = False
) -> tuple[TunedDonor, Tuned]:
    """Loads both, and checks that they are a base and a tuned copy of it.

    Args:
        work: the setting.
        donor: the base: a registry name, a folder or a hub id.
        tuned: a folder that PEFT or `save_pretrained` wrote, a hub id of either, the name of a
            backbone, or `<name>@<base>` of the library.
        other_base: whether a LoRA that was trained on another base is meant.
        with_module: whether what a domain module reads is kept, too, where the copy is one and
            could be moved as it is.

    Raises:
        InputError: another base, another tokenizer, another width, or nothing that changes.
        NumericalError: what it computes is not finite.
    """
    from transplant.modules.tuned import TunedDonor, TunedPair

    adapter = _adapter_folder(work, tuned)
    base = work.backbone(donor)
    if adapter is not None:
        found = _lora(work, adapter, tuned, base, other_base=other_base)
    elif work.named(tuned).module is not None:
        found = _hosted(work, tuned, base)
    else:
        found = _model(work, tuned, base)
    pair = TunedPair(base, found.model, found.head)
    _refuse_unchanged(pair, donor, tuned)
    return TunedDonor(tuned, pair, _movable(found) if with_module else None), found


def parts_of_teacher(work: Work, name: str) -> tuple[str, str]:
    """The base and the tuned copy that a teacher's name says, as `load_donor` takes them.

    Args:
        work: the setting.
        name: `NAME@BACKBONE` of the library, or `TUNED@BASE` of any tuned copy.

    Raises:
        InputError: there is no base in it, or the library holds a core's own module by that name.
        NotFoundError: the library holds nothing of that name, and it is neither a folder nor a hub
            id nor a backbone.
    """
    tuned, at, base = name.rpartition("@")
    is_path = tuned.startswith((".", "/", "~"))
    if expand(tuned).is_dir() if is_path else "/" in tuned:
        return base, tuned
    if is_path or (at and not (tuned and base)):
        raise InputError(
            f"`teachers`: {name}", expected="each as NAME@BACKBONE of the library, or TUNED@BASE",
            found="no such folder" if is_path else "half a name",
        )  # fmt: skip
    try:
        found = work.named(name)
        if found.module is not None:
            work.find(found)
            return found.backbone, name
    except NotFoundError:
        if expand(tuned).is_dir() or work.library.holds_backbone(tuned):
            return base, tuned
        raise
    raise InputError(
        f"`teachers`: {name} is a raw backbone", expected="NAME@BACKBONE, or TUNED@BASE"
    )


def _movable(found: Tuned) -> Correction | None:
    """The interface and the module that a tuned copy is, where a move could take them."""
    correction = found.model.correction
    return None if correction is None or correction.module.reads_windows else correction


def _adapter_folder(work: Work, tuned: str) -> Path | None:
    """The folder of a LoRA: given, or fetched from a hub; None for anything else."""
    folder = expand(tuned)
    if folder.is_dir():
        return folder if (folder / CONFIG).is_file() else None
    is_hub = tuned.count("/") == 1 and not tuned.startswith((".", "/", "~")) and "@" not in tuned
    if not is_hub or work.library.holds_backbone(tuned):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    from transplant.backbones.downloads import following_downloads, snapshot_options
    from transplant.backbones.hub_ids import is_out_of_reach

    try:
        with (
            foreign(f"cannot get {tuned} from the hub", InputError, hint="a folder, or a hub id"),
            work.reporter.progress(f"getting {tuned}") as progress,
            following_downloads(progress),
        ):
            place = Path(
                snapshot_download(
                    tuned, revision=work.revision_of(tuned),
                    allow_patterns=[CONFIG, WEIGHTS, TOKENIZER],
                    local_files_only=is_out_of_reach(), **snapshot_options(),
                )
            )  # fmt: skip
    except InputError as error:
        if isinstance(error.__cause__, EntryNotFoundError | LocalEntryNotFoundError):
            return None  # `load_backbone` says what is wrong with it
        raise
    return place if (place / CONFIG).is_file() else None


def _lora(work: Work, folder: Path, name: str, base: Backbone, *, other_base: bool) -> Tuned:
    from transplant.surgery.lora.folder import read_lora
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.match import match_lora

    read = read_lora(folder)
    check = check_base(work, folder, read.settings, base, other_base=other_base)
    if (folder / TOKENIZER).is_file():
        with foreign(f"{folder / TOKENIZER} cannot be read", InputError):
            from transformers import PreTrainedTokenizerFast

            own = PreTrainedTokenizerFast(tokenizer_file=str(folder / TOKENIZER))
        check_one_tokenizer(base.tokenizer, own, base.name, name)
    model = LoraModel(name, base, match_lora(read, base))
    return Tuned(
        "lora", model, read.weights_sha256, head=model.head,
        facts={"recorded_base": check.to_dict(), "rank": read.settings.rank},
    )  # fmt: skip


def _hosted(work: Work, tuned: str, base: Backbone) -> Tuned:
    from transplant.backbones.identity import difference
    from transplant.loading.hosted import host

    name = work.named(tuned)
    if name.backbone != base.name:
        other = work.library.fingerprints(name.backbone) or work.backbone(name.backbone)
        if difference(other, base) is not None:
            raise InputError(
                f"`tuned={tuned!r}` belongs to another backbone than `donor`",
                expected=base.name, found=name.backbone,
            )  # fmt: skip
    sha256 = work.find(tuned).manifest.sha256
    return Tuned("hosted", host(base, name.module, work.library, name.d_abi), sha256)


def _model(work: Work, tuned: str, base: Backbone) -> Tuned:
    model = work.load(tuned)
    other = model.backbone
    check_one_tokenizer(base.tokenizer, other.tokenizer, base.name, tuned)
    if (other.d_model, type(other)) != (base.d_model, type(base)):
        raise InputError(
            f"{tuned} is no tuned copy of {base.name}",
            expected=f"{base.family}, d_model {base.d_model}",
            found=f"{other.family}, d_model {other.d_model}",
        )
    return Tuned("model", model, other.weights_sha256)


def check_one_tokenizer(
    base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase, base_name: str, tuned_name: str
) -> None:
    """Refuses a pair whose tokens stand for other bytes; special tokens may differ.

    Special is what either has for its own ends, or what its definition calls so: a padding token
    that was added, a reserved one that was named anew.

    Raises:
        InputError: it names the first token that differs.
    """
    from transplant.alignment.tokens import token_bytes

    ours, theirs = token_bytes(base), token_bytes(tuned)
    special = {*_special(base), *_special(tuned)}
    other = sorted(
        number
        for number in (ours.keys() | theirs.keys()) - special
        if ours.get(number) != theirs.get(number)
    )
    if other:
        first = other[0]
        raise InputError(
            f"{tuned_name} has another tokenizer than {base_name}: {len(other)} tokens differ",
            expected=f"token {first} to be {ours.get(first)!r}", found=repr(theirs.get(first)),
            hint="the base that it was tuned on",
        )  # fmt: skip


def _special(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    added = tokenizer.added_tokens_decoder.items()
    return {*tokenizer.all_special_ids, *(number for number, token in added if token.special)}


def _refuse_unchanged(pair: Any, donor: str, tuned: str) -> None:
    """Refuses a tuned copy that predicts what the base does: there is nothing to move."""
    import torch

    from transplant.text.windows import Window

    ids = [number % pair.vocab_size for number in range(1, 2 * PROBED + 1)]
    window = Window(ids, [*range(1, len(ids) + 1)], 0)
    states = pair.read([window], [pair.change_tap])
    change = states.taps[pair.change_tap] @ pair.unembedding.float().T
    if not torch.isfinite(change).all():
        raise NumericalError(f"{tuned} gives hidden states that are NaN or infinite")
    own = states.h_last.float() @ pair.unembedding.float().T
    if change.abs().max() <= 1e-6 * own.abs().max():
        raise InputError(
            f"{tuned} predicts what {donor} does: there is no change to move",
            expected="a tuned copy of it",
        )
