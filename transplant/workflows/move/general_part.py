"""A module of general text in the donor: found by name, compared with what is moved."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.errors import InputError
from transplant.workflows.corpus import windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.split_head import SplitHead
    from transplant.calibration.general import General
    from transplant.calibration.move import Pairing
    from transplant.modules.hosted import HostedModel
    from transplant.text.documents import Document

COMPARED = 12_000  # tokens of the domain's calibration split


def check_general(name: str | None, config: MoveConfig) -> None:
    """Refuses a share of a general change to take away where none is named.

    Raises:
        InputError: it names the parameter.
    """
    if config.less_general and name is None:
        raise InputError(
            "`less_general`", expected="`general` beside it: a module of general text in the donor"
        )


def load_general(work: Work, name: str, donor: HostedModel, weight: float) -> General:
    """The module of that name, to be read beside a donor.

    Args:
        work: the setting.
        name: a module on the donor's backbone, as `prose@ref-gpt2`.
        donor: the donor.
        weight: how much of its change is taken away.

    Raises:
        InputError: no module, one on another backbone, or beside a donor of two heads.
    """
    from transplant.backbones.identity import difference
    from transplant.calibration.general import General
    from transplant.calibration.move import check_movable
    from transplant.modules.tuned import TunedDonor

    if isinstance(donor, TunedDonor) and not donor.pair.one_head:
        raise InputError(
            f"`general={name!r}` beside a tuned copy with a head of its own",
            expected="a tuned copy that shares its base's head",
        )
    hosted = work.load(name)
    correction = check_movable(hosted)
    if difference(hosted.backbone, donor.backbone) is not None:
        raise InputError(
            f"`general={name!r}` belongs to another backbone than the donor",
            expected=donor.backbone.name, found=hosted.backbone.name,
        )  # fmt: skip
    return General(name, copy.deepcopy(correction).cpu(), weight)


def general_share(
    donor: HostedModel, pairing: Pairing, head: SplitHead, text: Sequence[Document], seed: int
) -> dict[str, Any]:
    """How much of a donor's change is general, for reports.

    Args:
        donor: the donor.
        pairing: the paired rows, and the general module.
        head: of the donor.
        text: of the domain, not held out.
        seed: of the bootstrap over documents.
    """
    from transplant.calibration.general import GeneralShare, share_of_nats, share_of_variance

    general = pairing.general
    assert general is not None
    found = share_of_variance(pairing.fitted, pairing.whole_change, general, head)
    windows = windows_of(donor.backbone, text, 512, COMPARED)
    share = GeneralShare(*found, share_of_nats(donor, general, windows, seed=seed))
    return {"module": general.name, "less": general.weight, **share.to_dict()}
