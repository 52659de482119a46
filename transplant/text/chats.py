"""Chat templates of tokenizers: what makes the text of a chat that a model was trained on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from transplant.text.row_form import ChatTemplate, Turns


def template_of(name: str, tokenizer: Any) -> ChatTemplate:
    """The template of a model's tokenizer; one that renders nothing where it has none.

    A beginning-of-text token that the template writes is left out where the tokenizer puts one
    before every text by itself, as those of Gemma and Llama 3 do: the model would read two.
    """
    template = getattr(tokenizer, "chat_template", None)
    if not template:
        return ChatTemplate(name, None)
    begin = _begin(tokenizer)

    def render(turns: Turns) -> str:
        return tokenizer.apply_chat_template(turns, tokenize=False).removeprefix(begin)

    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return ChatTemplate(name, render, hashlib.sha256(text.encode()).hexdigest())


def _begin(tokenizer: Any) -> str:
    """What the tokenizer puts before every text by itself; nothing, of most."""
    begin = tokenizer.bos_token_id
    adds_it = begin is not None and tokenizer("").input_ids[:1] == [begin]
    return tokenizer.bos_token if adds_it else ""
