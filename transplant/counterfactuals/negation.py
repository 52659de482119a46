"""Negation: words that a negated clause takes, and the scope of a negative quantifier."""

from __future__ import annotations

from transplant.counterfactuals.template import GAP, Couple, MinimalPair, Template, swapped
from transplant.counterfactuals.words import (
    INTRANSITIVE,
    NOUN_CHOICES,
    NOUN_PAIRS,
    TRANSITIVE,
)

Forms = tuple[str, str]  # of nouns singular and plural, of verbs bare and past
POLARITY = ("negative", "positive")


def _so(nouns: tuple[Forms, Forms], verb: Forms) -> Couple:
    (one, _), (other, _) = nouns
    contexts = (
        f"The {one} did not {verb[0]}, and {GAP} did the {other}.",
        f"The {one} {verb[1]}, and {GAP} did the {other}.",
    )
    return swapped(contexts, ("neither", "so"), POLARITY)


def _too(nouns: tuple[Forms, Forms], verb: Forms) -> Couple:
    (one, _), (other, _) = nouns
    contexts = (
        f"The {one} did not {verb[0]}, and the {other} did not {verb[0]} {GAP}.",
        f"The {one} {verb[1]}, and the {other} {verb[1]} {GAP}.",
    )
    return swapped(contexts, ("either", "too"), POLARITY)


def _or(nouns: tuple[Forms, Forms], verb: Forms) -> Couple:
    (one, _), (other, _) = nouns
    contexts = (
        f"Neither the {one} {GAP} the {other} {verb[1]}.",
        f"Either the {one} {GAP} the {other} {verb[1]}.",
    )
    return swapped(contexts, ("nor", "or"), POLARITY)


def _scope(nouns: tuple[Forms, Forms], clause: str, verb: Forms) -> Couple:
    """`ever` needs a negation that commands it: one inside a relative clause does not."""

    def pair(head: str, other: str) -> MinimalPair:
        return MinimalPair(
            f"No {head} that the {other} {clause}s has ever {verb[1]}.",
            f"The {head} that no {other} {clause}s has ever {verb[1]}.",
            "licensed",
        )

    (one, _), (another, _) = nouns
    return pair(one, another), pair(another, one)


TEMPLATES = (
    Template("so-neither", (NOUN_PAIRS, INTRANSITIVE), _so),
    Template("too-either", (NOUN_PAIRS, INTRANSITIVE), _too),
    Template("or-nor", (NOUN_PAIRS, INTRANSITIVE), _or),
    Template("scope", (NOUN_CHOICES, TRANSITIVE, INTRANSITIVE), _scope),
)
