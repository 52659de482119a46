"""Words that the grammars of prose share."""

from __future__ import annotations

from itertools import combinations, permutations

NOUNS = (
    ("author", "authors"), ("baker", "bakers"), ("captain", "captains"), ("child", "children"),
    ("dancer", "dancers"), ("doctor", "doctors"), ("driver", "drivers"), ("farmer", "farmers"),
    ("guard", "guards"), ("judge", "judges"), ("lawyer", "lawyers"), ("manager", "managers"),
    ("nurse", "nurses"), ("painter", "painters"), ("pilot", "pilots"), ("poet", "poets"),
    ("sailor", "sailors"), ("senator", "senators"), ("singer", "singers"),
    ("student", "students"), ("teacher", "teachers"), ("tourist", "tourists"),
    ("visitor", "visitors"), ("writer", "writers"),
)  # fmt: skip
"""Persons of no grammatical gender: singular and plural."""
NOUN_PAIRS = tuple(permutations(NOUNS, 2))
"""Two different ones, in order."""
NOUN_CHOICES = tuple(combinations(NOUNS, 2))
"""Two different ones, in one order."""

Forms = tuple[str, str]  # singular and plural

COUNTERPARTS: tuple[tuple[Forms, Forms], ...] = (
    (("actress", "actresses"), ("actor", "actors")),
    (("aunt", "aunts"), ("uncle", "uncles")),
    (("daughter", "daughters"), ("son", "sons")),
    (("duchess", "duchesses"), ("duke", "dukes")),
    (("girl", "girls"), ("boy", "boys")),
    (("grandmother", "grandmothers"), ("grandfather", "grandfathers")),
    (("mother", "mothers"), ("father", "fathers")),
    (("niece", "nieces"), ("nephew", "nephews")),
    (("princess", "princesses"), ("prince", "princes")),
    (("queen", "queens"), ("king", "kings")),
    (("sister", "sisters"), ("brother", "brothers")),
    (("waitress", "waitresses"), ("waiter", "waiters")),
    (("wife", "wives"), ("husband", "husbands")),
    (("woman", "women"), ("man", "men")),
)
"""Persons of grammatical gender, female and male."""
FEMALE = tuple(she for she, _ in COUNTERPARTS)
MALE = tuple(he for _, he in COUNTERPARTS)

ADJECTIVES = (
    "angry", "busy", "calm", "famous", "happy", "hungry", "late", "lucky", "nervous", "proud",
    "quiet", "sick", "strong", "tall", "tired", "young",
)  # fmt: skip
PLACES = ("behind", "beside", "in front of", "near", "next to")
TRANSITIVE = ("admire", "fear", "help", "know", "like", "remember", "trust", "visit")
"""Verbs whose third person ends in a plain s."""
INTRANSITIVE = (
    ("arrive", "arrived"), ("complain", "complained"), ("cry", "cried"), ("dance", "danced"),
    ("laugh", "laughed"), ("listen", "listened"), ("smile", "smiled"), ("stop", "stopped"),
    ("vote", "voted"), ("wait", "waited"), ("work", "worked"), ("yawn", "yawned"),
)  # fmt: skip
"""Bare form and past, which is the participle, too."""
