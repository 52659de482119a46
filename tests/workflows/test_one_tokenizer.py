"""One tokenizer of a base and its tuned copy: special tokens may differ, others may not."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from transplant.errors import InputError
from transplant.workflows.tuned.donor import TOKENIZER, check_one_tokenizer


def as_stored(tokenizer, folder, *, alone):
    """The same from files: with its settings, or from its definition alone as beside a LoRA."""
    tokenizer.save_pretrained(folder)
    if alone:
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / TOKENIZER))
    return AutoTokenizer.from_pretrained(folder)


def added_to(tokenizer, folder, *tokens, special, alone, **named):
    tokenizer.save_pretrained(folder)
    made = AutoTokenizer.from_pretrained(folder)
    made.add_tokens([AddedToken(one, special=special) for one in tokens], special_tokens=special)
    made.add_special_tokens(named)
    return as_stored(made, folder, alone=alone)


@pytest.mark.parametrize("alone", [True, False])
def test_special_tokens_may_be_added_and_others_may_not(tiny_tokenizer, tmp_path, alone):
    def check(*tokens, special, **named):
        tuned = added_to(tiny_tokenizer, tmp_path, *tokens, special=special, alone=alone, **named)
        assert len(tuned) > len(tiny_tokenizer)
        check_one_tokenizer(tiny_tokenizer, tuned, "base", "tuned")
        check_one_tokenizer(tuned, tiny_tokenizer, "tuned", "base")

    check(special=True, pad_token="[PAD]")
    check("<|im_start|>", "<|im_end|>", special=True)
    check("<|im_start|>", special=True, eos_token="<|im_end|>")
    with pytest.raises(InputError, match="1 tokens differ"):
        check("<tool>", special=False, pad_token="[PAD]")


@pytest.mark.parametrize("alone", [True, False])
def test_a_reserved_token_may_have_another_name_and_a_word_may_not(tiny_tokenizer, tmp_path, alone):
    def pair(special):
        names = ("<|reserved|>", "<|im_end|>")
        return [
            added_to(tiny_tokenizer, tmp_path / one.strip("<|>"), one, special=special, alone=alone)
            for one in names
        ]  # fmt: skip

    base, tuned = pair(special=True)
    assert len(base) - 1 not in base.all_special_ids  # nothing but the definition calls it special
    check_one_tokenizer(base, tuned, "base", "tuned")
    with pytest.raises(InputError, match="1 tokens differ") as error:
        check_one_tokenizer(*pair(special=False), "base", "tuned")
    assert (error.value.expected, error.value.found) == (
        f"token {len(base) - 1} to be {b'<|reserved|>'!r}", repr(b"<|im_end|>")
    )  # fmt: skip
