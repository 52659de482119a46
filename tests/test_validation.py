import math
from dataclasses import dataclass
from typing import Annotated

import numpy
import pytest

from transplant.errors import InputError
from transplant.validation import Bounds, Count, above, at_least, check_bounds


@dataclass(frozen=True)
class Config:
    steps: int = 1
    rate: float = 0.5
    gains: tuple[float, ...] = (0.5, 1.0)


def refused(check, *arguments):
    try:
        check(*arguments)
    except InputError:
        return True
    return False


def test_the_bound_itself_is_in_for_one_check_and_out_for_the_other():
    fields = ("steps", "rate", "gains")
    least = {"steps": 1, "rate": 0.5, "gains": 0.5}
    assert not any(refused(at_least, Config(), least[name], name) for name in fields)
    assert all(refused(above, Config(), least[name], name) for name in fields)
    assert not refused(above, Config(), 0, *fields)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (Config(steps=0), "`steps`: expected at least 1, found 0"),
        (Config(rate=0.0), "`rate`: expected a number above 0, found 0.0"),
        (Config(rate=math.inf), "`rate`: .* found inf"),
        (Config(rate=math.nan), "`rate`: .* found nan"),
        (Config(gains=(1.0, 0.0)), r"`gains`: expected a number above 0, found \(1.0, 0.0\)"),
        (Config(gains=()), "`gains`: .* found nothing"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_bound(config, says):
    def check():
        at_least(config, 1, "steps")
        above(config, 0, "rate", "gains")

    with pytest.raises(InputError, match=says):
        check()


@dataclass(frozen=True)
class Bounded:
    free: int = -1
    steps: Count = 1
    share: Annotated[float, Bounds(0, 1)] = 0.5
    gains: Annotated[tuple[float, ...], Bounds(0)] = (0.0, 2.0)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (Bounded(steps=0), "`steps`: expected at least 1, found 0"),
        (Bounded(share=-0.1), "`share`: expected at least 0, found -0.1"),
        (Bounded(share=1.1), "`share`: expected at most 1, found 1.1"),
        (Bounded(share=math.nan), "`share`: expected at least 0, found nan"),
        (Bounded(gains=(1.0, -1.0)), "`gains`: expected at least 0"),
        (Bounded(steps="5"), "`steps`: expected a whole number, found '5'"),  # type: ignore
        (Bounded(steps=2.5), "`steps`: expected a whole number, found 2.5"),  # type: ignore
        (Bounded(steps=True), "`steps`: expected a whole number, found True"),
        (Bounded(share="much"), "`share`: expected at least 0, found 'much'"),  # type: ignore
    ],
)
def test_a_bound_in_the_type_of_a_field_is_held_to(config, says):
    with pytest.raises(InputError, match=says):
        check_bounds(config)
    check_bounds(Bounded())
    check_bounds(Bounded(free=-9, steps=1, share=1.0))  # both ends are allowed
    check_bounds(Bounded(steps=numpy.int64(3), share=1))  # type: ignore
