"""Several sources of one domain, named together: `python,python-packages` or `a.jsonl,b.jsonl`.

A budget of tokens is spent on them in equal parts (`spread_windows`), as far as each has so many.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from transplant.errors import CorpusError, InputError
from transplant.files.plain import expand
from transplant.text.document import Corpus, Document

SEPARATOR = ","


def names_of(source: str) -> list[str]:
    """The sources that a corpus is made of; of most corpora the corpus itself.

    A file or folder whose name has a comma is one source.

    Raises:
        CorpusError: a source without a name, or one that is named twice.
    """
    if SEPARATOR not in source or _is_here(source):
        return [source]
    names = [name.strip() for name in source.split(SEPARATOR)]
    if not all(names):
        raise CorpusError(
            f"no such corpus: {source!r}", expected="several sources as A,B",
            found="one without a name",
        )  # fmt: skip
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise CorpusError(f"{twice[0]} is named twice", expected="each source once", found=source)
    return names


def join_corpora(
    corpora: Mapping[str, Corpus], keep: Callable[[list[Document]], list[Document]]
) -> Corpus:
    """The corpora of several sources as one, whose documents know which source they are of.

    Args:
        corpora: by the names of their sources.
        keep: drops near-duplicates, of which the first stays.

    Raises:
        CorpusError: a source has nothing that the ones before it do not have.
    """
    parts = [
        replace(document, part=number)
        for number, corpus in enumerate(corpora.values())
        for document in corpus.documents
    ]
    kept = keep(parts)
    left = {document.part for document in kept}
    for number, name in enumerate(corpora):
        if number not in left:
            raise CorpusError(
                f"{name} has no document of its own",
                expected="text that the sources before it do not have",
            )
    read = corpora.values()
    reaches = [corpus.reach for corpus in read if corpus.reach is not None]
    templates = [corpus.template for corpus in read if corpus.template is not None]
    return Corpus(
        kept,
        tuple(line for corpus in read for line in corpus.skipped),
        max(reaches, default=None),
        tuple(dict.fromkeys(column for corpus in read for column in corpus.columns)),
        templates[0] if templates else None,
    )


def _is_here(source: str) -> bool:
    try:
        return os.path.lexists(expand(source))
    except InputError:
        return False
