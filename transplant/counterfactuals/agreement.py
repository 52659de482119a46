"""Agreement in number: of verbs with their subjects, of determiners with their nouns."""

from __future__ import annotations

from transplant.counterfactuals.template import GAP, Couple, Template, swapped
from transplant.counterfactuals.words import (
    ADJECTIVES,
    NOUN_PAIRS,
    NOUNS,
    PLACES,
    TRANSITIVE,
)

Forms = tuple[str, str]  # singular and plural

VERBS: tuple[Forms, ...] = (
    ("is", "are"), ("was", "were"), ("looks", "look"), ("seems", "seem"), ("sounds", "sound"),
    ("has been", "have been"),
)  # fmt: skip
DETERMINERS: tuple[Forms, ...] = (("this", "these"), ("that", "those"))
NUMBER = ("singular", "plural")


def _simple(noun: Forms, verb: Forms, adjective: str) -> Couple:
    one, many = (f"The {form} {GAP} {adjective}." for form in noun)
    return swapped((one, many), verb, NUMBER)


def _across_preposition(
    nouns: tuple[Forms, Forms], place: str, verb: Forms, adjective: str
) -> Couple:
    (head, heads), (other, others) = nouns
    one = f"The {head} {place} the {others} {GAP} {adjective}."
    many = f"The {heads} {place} the {other} {GAP} {adjective}."
    return swapped((one, many), verb, NUMBER)


def _across_relative(
    nouns: tuple[Forms, Forms], clause: str, verb: Forms, adjective: str
) -> Couple:
    (head, heads), (other, others) = nouns
    one = f"The {head} that the {others} {clause} {GAP} {adjective}."
    many = f"The {heads} that the {other} {clause}s {GAP} {adjective}."
    return swapped((one, many), verb, NUMBER)


def _coordination(nouns: tuple[Forms, Forms], verb: Forms, adjective: str) -> Couple:
    (head, _), (other, _) = nouns
    one = f"The {head} beside the {other} {GAP} {adjective}."
    many = f"The {head} and the {other} {GAP} {adjective}."
    return swapped((one, many), verb, NUMBER)


def _existential(noun: Forms, verb: Forms, place: str, other: Forms) -> Couple:
    one = f"There {GAP} one {noun[0]} {place} the {other[0]}."
    many = f"There {GAP} two {noun[1]} {place} the {other[0]}."
    return swapped((one, many), verb, NUMBER)


def _determiner(subject: Forms, clause: str, noun: Forms, determiner: Forms) -> Couple:
    one, many = (f"The {subject[1]} {clause} {GAP} {form}." for form in noun)
    return swapped((one, many), determiner, NUMBER)


TEMPLATES = (
    Template("simple", (NOUNS, VERBS, ADJECTIVES), _simple),
    Template("across-preposition", (NOUN_PAIRS, PLACES, VERBS, ADJECTIVES), _across_preposition),
    Template("across-relative", (NOUN_PAIRS, TRANSITIVE, VERBS, ADJECTIVES), _across_relative),
    Template("coordination", (NOUN_PAIRS, VERBS, ADJECTIVES), _coordination),
    Template("existential", (NOUNS, VERBS[:2], PLACES, NOUNS), _existential),
    Template("determiner", (NOUNS, TRANSITIVE, NOUNS, DETERMINERS), _determiner),
)
