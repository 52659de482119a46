"""Grammars of minimal pairs: different, minimal, mirrored, and right about Python."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import symtable
from collections import Counter

import pytest

from transplant.counterfactuals.grammars import GRAMMARS, capacity, draw_pairs
from transplant.counterfactuals.template import MinimalPair, Template
from transplant.errors import InputError

PROSE = ("agreement", "coref", "negation")
WRONG = {"python-scope": (NameError,), "python-type": (TypeError, AttributeError)}


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else f" {c} " for c in text.lower()).split()


def run(code: str) -> BaseException | None:
    """What a program raises, in a namespace of its own."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, "pair", "exec"), {})
    except Exception as error:
        return error
    return None


def unbound(code: str) -> set[str]:
    """Names that are read as globals and bound nowhere, by the symbol table of the compiler."""
    top = symtable.symtable(code, "pair", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_namespace()}

    def read(table: symtable.SymbolTable) -> set[str]:
        own = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
        return own.union(*map(read, table.get_children()))

    return {name for name in read(top) if not hasattr(builtins, name)} - bound


@pytest.mark.parametrize("task", GRAMMARS)
def test_pairs_are_different_ones_and_spread_evenly(task):
    n = 3000
    drawn = draw_pairs(task, n, seed=3)
    assert len({(one.pair.good, one.pair.bad) for one in drawn}) == n
    assert len({one.pair.good for one in drawn}) == n
    shares = Counter(one.field for one in drawn)
    possible = {template.field: 2 * template.couples for template in GRAMMARS[task]}
    full = [share for field, share in shares.items() if share < possible[field]]
    assert max(full) - min(full) <= 2
    assert set(shares) == set(possible)


@pytest.mark.parametrize("task", ["coref", "negation"])
def test_a_whole_grammar_repeats_nothing(task):
    pairs = [
        (pair.good, pair.bad)
        for template in GRAMMARS[task]
        for number in range(template.couples)
        for pair in template.couple(number)
    ]
    assert len(pairs) == capacity(task) == len(set(pairs))


@pytest.mark.parametrize("task", GRAMMARS)
def test_both_sides_of_a_couple_hold_the_same_words(task):
    drawn = draw_pairs(task, 800)
    for one, other in zip(drawn[::2], drawn[1::2], strict=True):
        assert one.couple == other.couple
        good, bad = (
            Counter(words(getattr(one.pair, side)) + words(getattr(other.pair, side)))
            for side in ("good", "bad")
        )
        assert good == bad
    unpaired = Counter(words(drawn[0].pair.good)), Counter(words(drawn[0].pair.bad))
    assert task == "negation" or unpaired[0] != unpaired[1]  # control: one pair alone tells


@pytest.mark.parametrize("task", GRAMMARS)
def test_a_pair_differs_in_one_place(task):
    for one in draw_pairs(task, 300):
        good, bad = one.pair.good.split(), one.pair.bad.split()
        if one.field == "scope":  # two words change places
            assert sorted(map(str.lower, good)) == sorted(map(str.lower, bad))
        else:
            first = next(i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b)
            tail = min(len(good), len(bad)) - first - 1
            assert good[len(good) - tail :] == bad[len(bad) - tail :]


@pytest.mark.parametrize("task", WRONG)
def test_right_python_runs_and_wrong_python_raises(task):
    for one in draw_pairs(task, 400, seed=1):
        assert run(one.pair.good) is None, one.pair.good
        error = run(one.pair.bad)
        assert isinstance(error, WRONG[task]), (one.pair.bad, error)
        assert ast.dump(ast.parse(one.pair.good)) != ast.dump(ast.parse(one.pair.bad))


def test_the_compiler_sees_the_scope_errors_that_it_can_see():
    static = {"parameter", "other-function", "comprehension", "inner", "lambda"}
    for one in draw_pairs("python-scope", 400, seed=2):
        assert not unbound(one.pair.good)
        assert bool(unbound(one.pair.bad)) == (one.field in static), one.pair.bad


def test_a_seed_is_a_draw():
    assert draw_pairs("coref", 50, seed=1) == draw_pairs("coref", 50, seed=1)
    assert draw_pairs("coref", 50, seed=1) != draw_pairs("coref", 50, seed=2)
    assert len(draw_pairs("coref", 51)) == 51


def test_more_than_a_grammar_can_make_is_refused_with_the_number(monkeypatch):
    tiny = Template(
        "one", (("a", "b"),), lambda x: (MinimalPair(x, x + "?", ""), MinimalPair(x + "!", x, ""))
    )
    other = Template("two", (("c", "d", "e"),), tiny.build)
    monkeypatch.setitem(GRAMMARS, "tiny", (tiny, other))
    assert Counter(one.field for one in draw_pairs("tiny", 10)) == {"one": 4, "two": 6}
    with pytest.raises(InputError, match="`n`: expected from 1 to 10, .* found 11"):
        draw_pairs("tiny", 11)
    with pytest.raises(InputError, match="agreement"):
        draw_pairs("agrement", 1)
