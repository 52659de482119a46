"""Several donors as one teacher: each a base and a tuned copy of it, with tokens of their own.

A row of a panel holds what each of them has at the same character, side by side: their changes
[rows, d_1 + d_2 + ...] and their last hidden states. The changes meet in the target's vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor


class Panel(HostedModel):
    """Several tuned donors; its backbone is that of the first.

    Args:
        teachers: the donors.

    Raises:
        InputError: fewer than two.
    """

    CHANGES = 0
    """The tap that holds the changes, side by side."""

    def __init__(self, teachers: Sequence[TunedDonor]) -> None:
        if len(teachers) < 2:
            raise InputError("`teachers`", expected="two or more", found=len(teachers))
        super().__init__(",".join(one.name for one in teachers), teachers[0].backbone)
        self.teachers = tuple(teachers)

    @property
    def is_raw(self) -> bool:
        """Never."""
        return False

    @property
    def change_taps(self) -> tuple[int, ...]:
        """What `change` reads."""
        return (self.CHANGES,)

    def change(self, taps: Mapping[int, Tensor]) -> Tensor:
        """The changes of all, side by side [rows, d_1 + d_2 + ...]."""
        return taps[self.CHANGES]
