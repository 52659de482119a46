"""Chat templates of tokenizers: what makes the text of a chat that a model was trained on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from transplant.text.row_form import ChatTemplate, Turns


def template_of(name: str, tokenizer: Any) -> ChatTemplate:
    """The template of a model's tokenizer; one that renders nothing where it has none."""
    template = getattr(tokenizer, "chat_template", None)
    if not template:
        return ChatTemplate(name, None)

    def render(turns: Turns) -> str:
        return tokenizer.apply_chat_template(turns, tokenize=False)

    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return ChatTemplate(name, render, hashlib.sha256(text.encode()).hexdigest())
