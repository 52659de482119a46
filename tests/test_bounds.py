import math
from dataclasses import dataclass

import pytest

from transplant.bounds import above, at_least
from transplant.errors import InputError


@dataclass(frozen=True)
class Config:
    steps: int = 1
    rate: float = 0.5
    gains: tuple[float, ...] = (0.5, 1.0)


def test_what_is_in_bounds_passes():
    at_least(Config(), 1, "steps")
    at_least(Config(), 0.5, "gains", "rate")
    above(Config(), 0, "steps", "rate", "gains")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (Config(steps=0), "steps: expected at least 1, found 0"),
        (Config(rate=0.0), "rate: expected a number above 0, found 0.0"),
        (Config(rate=math.inf), "rate: .* found inf"),
        (Config(rate=math.nan), "rate: .* found nan"),
        (Config(gains=(1.0, 0.0)), r"gains: expected a number above 0, found \(1.0, 0.0\)"),
        (Config(gains=()), "gains: .* found nothing"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_bound(config, says):
    def check():
        at_least(config, 1, "steps")
        above(config, 0, "rate", "gains")

    with pytest.raises(InputError, match=says):
        check()
