"""Coreference: reflexives, possessives and tags that agree with what they refer to.

A reflexive refers to the subject of its own clause (Principle A, Chomsky 1981), whatever else
stands nearer.
"""

from __future__ import annotations

from transplant.counterfactuals.template import GAP, Couple, Template, swapped
from transplant.counterfactuals.words import (
    ADJECTIVES,
    COUNTERPARTS,
    FEMALE,
    MALE,
    PLACES,
    Forms,
)

ACTS = (
    "admired", "blamed", "criticized", "described", "hurt", "introduced", "praised", "saved",
    "saw", "trusted",
)  # fmt: skip
SAYING = ("believed", "said", "thought", "knew")
THINGS = ("bag", "coat", "keys", "letter", "phone", "room", "shoes", "watch")
LOSING = ("cleaned", "found", "lost", "sold")
GENDER = ("female", "male")
REFLEXIVES = ("herself", "himself")
GENDERED = tuple((forms, REFLEXIVES[0]) for forms in FEMALE) + tuple(
    (forms, REFLEXIVES[1]) for forms in MALE
)


def _each(persons: tuple[Forms, Forms], text: str, words: tuple[str, str]) -> Couple:
    """A couple of one text about a woman and about a man."""
    she, he = (text.format(forms[0]) for forms in persons)
    return swapped((she, he), words, GENDER)


def _reflexive(persons: tuple[Forms, Forms], act: str) -> Couple:
    return _each(persons, f"The {{}} {act} {GAP}.", REFLEXIVES)


def _across_preposition(she: Forms, he: Forms, place: str, act: str) -> Couple:
    contexts = (
        f"The {she[0]} {place} the {he[0]} {act} {GAP}.",
        f"The {he[0]} {place} the {she[0]} {act} {GAP}.",
    )
    return swapped(contexts, REFLEXIVES, GENDER)


def _own_clause(she: Forms, he: Forms, saying: str, act: str) -> Couple:
    contexts = (
        f"The {he[0]} {saying} that the {she[0]} {act} {GAP}.",
        f"The {she[0]} {saying} that the {he[0]} {act} {GAP}.",
    )
    return swapped(contexts, REFLEXIVES, GENDER)


def _number(noun: tuple[Forms, str], place: str, act: str, other: tuple[Forms, str]) -> Couple:
    (one, many), reflexive = noun
    contexts = (
        f"The {one} {place} the {other[0][1]} {act} {GAP}.",
        f"The {many} {place} the {other[0][0]} {act} {GAP}.",
    )
    return swapped(contexts, (reflexive, "themselves"), ("singular", "plural"))


def _possessive(persons: tuple[Forms, Forms], act: str, thing: str) -> Couple:
    return _each(persons, f"The {{}} {act} {GAP} own {thing}.", ("her", "his"))


def _tag(persons: tuple[Forms, Forms], adjective: str) -> Couple:
    return _each(persons, f"The {{}} is {adjective}, isn't {GAP}?", ("she", "he"))


TEMPLATES = (
    Template("reflexive", (COUNTERPARTS, ACTS), _reflexive),
    Template("across-preposition", (FEMALE, MALE, PLACES, ACTS), _across_preposition),
    Template("own-clause", (FEMALE, MALE, SAYING, ACTS), _own_clause),
    Template("number", (GENDERED, PLACES, ACTS, GENDERED), _number),
    Template("possessive", (COUNTERPARTS, LOSING, THINGS), _possessive),
    Template("tag", (COUNTERPARTS, ADJECTIVES), _tag),
)
