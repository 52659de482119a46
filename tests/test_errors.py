"""Errors: one name for whatever a foreign reader raises."""

from __future__ import annotations

import pytest

from transplant.errors import BackboneError, CorpusError, foreign


class Panic(BaseException):
    """As pyo3 raises where Rust code panics."""


@pytest.mark.parametrize(
    "cause",
    [KeyError("layers"), RecursionError("deep"), Panic("index out of bounds"), MemoryError()],
)
def test_a_foreign_error_gets_a_name_and_keeps_its_cause(cause: BaseException) -> None:
    with (
        pytest.raises(BackboneError, match=f"cannot read config.json.*{type(cause).__name__}") as e,
        foreign("cannot read config.json", BackboneError),
    ):
        raise cause
    assert e.value.__cause__ is cause


@pytest.mark.parametrize("own", [CorpusError("empty"), KeyboardInterrupt(), SystemExit(2)])
def test_our_own_errors_and_an_interruption_pass(own: BaseException) -> None:
    with pytest.raises(type(own)) as raised, foreign("cannot read it", BackboneError):
        raise own
    assert raised.value is own
