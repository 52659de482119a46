"""Rows of data sets: which column is read, and how chats and instructions become text."""

from __future__ import annotations

import copy
import json

import datasets
import pytest

from tests.conftest import write_document
from tests.tiny import tiny_backbone
from transplant.errors import CorpusError
from transplant.text.chats import template_of
from transplant.text.documents import read_corpus
from transplant.text.row_form import ChatTemplate, RowForm

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
TURNS = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so."}]
SHAPES = {
    "messages": {"messages": TURNS},
    "parts": {"messages": [{**TURNS[0], "content": [{"type": "text", "text": "why?"}]}, TURNS[1]]},
    "conversations": {
        "conversations": [{"from": "human", "value": "why?"}, {"from": "gpt", "value": "so."}]
    },
    "instruction": {"instruction": "why?", "input": "", "output": "so."},
    "prompt": {"prompt": "why?", "completion": "so."},
    "turns of a prompt": {"prompt": TURNS[:1], "completion": TURNS[1:]},
}


@pytest.fixture
def template(tiny_tokenizer, monkeypatch) -> ChatTemplate:
    monkeypatch.setattr(tiny_tokenizer, "chat_template", TEMPLATE)
    return template_of("tiny", tiny_tokenizer)


@pytest.mark.parametrize("shape", SHAPES)
def test_chats_of_any_shape_are_rendered_alike(template, shape):
    form = RowForm(template=template)
    text, _, plain = form.row_of(SHAPES[shape], "row")
    assert text == "<user>why?</><assistant>so.</>"
    assert plain == "user: why?\n\nassistant: so."
    assert len(form.used) == 1


def test_an_instruction_has_its_input_and_a_system_turn_stays(template):
    form = RowForm(template=template)
    row = {"instruction": "add", "input": "1 2", "output": "3"}
    assert form.row_of(row, "row")[0] == "<user>add\n\n1 2</><assistant>3</>"
    turns = [{"from": "system", "value": "be"}]
    assert form.row_of({"conversations": turns}, "row")[0] == "<system>be</>"


def test_text_comes_before_chats_and_a_named_column_before_all(template):
    row = {"text": "plain", "body": "other", **SHAPES["messages"]}
    assert RowForm(template=template).row_of(row, "row") == ("plain", "row")
    assert RowForm("body").row_of(row, "row") == ("other", "row")
    assert RowForm("messages", template).row_of(row, "row")[0].startswith("<user>")
    error = RowForm("nothing").row_of(row, "row")
    assert isinstance(error, CorpusError)
    assert error.expected == "the column 'nothing'"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": "text"}, "expected a list of turns, found str"),
        ({"messages": []}, "a list of turns"),
        ({"messages": ["x"]}, "turns with role and content.*found str"),
        ({"messages": [{"role": "user"}]}, "found the fields 'role'"),
        ({"messages": [{"role": "user", "content": "\0"}]}, "null bytes"),
        ({"prompt": "a question alone"}, "text_column='NAME'"),
    ],
)
def test_a_row_that_is_no_chat_is_named(template, row, said):
    with pytest.raises(CorpusError, match=said):
        raise RowForm(template=template).row_of(row, "row")


def test_a_chat_without_a_template_is_refused_by_name(tiny_tokenizer, template):
    for used, found in ((None, "no model"), (ChatTemplate("tiny", None), "none in tiny")):
        error = RowForm(template=used).row_of(SHAPES["messages"], "row")
        assert isinstance(error, CorpusError)
        assert error.found == found
        assert "chat template" in error.expected
    tiny_tokenizer.chat_template = "{{ raise_exception('no system turn') }}"
    error = RowForm(template=template).row_of(SHAPES["messages"], "row")
    assert "no system turn" in str(error)


def test_another_template_gives_other_text_and_the_same_splits(tmp_path, tiny_tokenizer, template):
    path = tmp_path / "chats.jsonl"
    rows = [{"messages": [{"role": "user", "content": write_document(n)}]} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = read_corpus(str(path), template=template)
    tiny_tokenizer.chat_template = "Q: {{ messages[0].content }}"
    other = read_corpus(str(path), template=template_of("tiny", tiny_tokenizer))
    assert [d.digest for d in one.documents] == [d.digest for d in other.documents]
    assert all(a.text != b.text for a, b in zip(one.documents, other.documents, strict=True))
    assert one.columns == ("messages",)
    assert one.template is template


@pytest.mark.parametrize("adds", [True, False])
def test_a_chat_begins_with_one_beginning_of_text(tiny_tokenizer, adds):
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    tokenizer.chat_template = "{{ bos_token }}" + TEMPLATE
    begin = tokenizer.bos_token_id
    if adds:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<begin> $A", special_tokens=[("<begin>", begin)]
        )
    form = RowForm(template=template_of("tiny", tokenizer))
    text = form.row_of(SHAPES["messages"], "row")[0]
    prefix = tiny_backbone("llama", tokenizer).prefix
    ids = [*prefix, *tokenizer(text, add_special_tokens=False).input_ids]
    assert (prefix == [begin]) == adds
    assert [number for number, token in enumerate(ids) if token == begin] == [0]
    assert ids == tokenizer.apply_chat_template(TURNS, tokenize=True, return_dict=False)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_every_table_has_a_named_column(tmp_path, suffix):
    rows = [{"id": n, "text": "no", "body": write_document(n)} for n in range(3)]
    path = tmp_path / f"rows{suffix}"
    table = datasets.Dataset.from_list(rows)
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".json":
        path.write_text(json.dumps(rows))
    elif suffix == ".csv":
        table.to_csv(path)
    else:
        table.to_parquet(path)
    corpus = read_corpus(str(path), text_column="body")
    assert [document.text for document in corpus.documents] == [row["body"] for row in rows]
    assert corpus.columns == ("body",)
    with pytest.raises(CorpusError, match="expected the column 'nothing'"):
        read_corpus(str(path), text_column="nothing")


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("owner/set", (("owner/set",), "train")),
        ("owner/set:v1.0", (("owner/set", "v1.0"), "train")),
        ("teknium/OpenHermes-2.5", (("teknium/OpenHermes-2.5",), "train")),
        ("owner/set-0.5B:all", (("owner/set-0.5B", "all"), "train")),
        ("dclm-baseline-1.0-en::test", (("dclm-baseline-1.0-en",), "test")),
        ("set:20231101.en:validation[:5%]", None),
        ("set:20231101.en:test", (("set", "20231101.en"), "test")),
        ("set::test", (("set",), "test")),
    ],
)
def test_a_data_set_has_a_configuration_and_a_split(monkeypatch, source, asked):
    calls = []

    def load_dataset(*named, split, streaming):
        calls.append((named, split))
        assert streaming
        return iter([{"text": write_document(0)}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    if asked is None:
        with pytest.raises(CorpusError, match="NAME:config:split"):
            read_corpus(source)
        return
    assert len(read_corpus(source).documents) == 1
    assert calls == [asked]


@pytest.mark.parametrize("source", ["owner/rows.csv", "notes.txt", "games.7z", "data/x.h5"])
def test_a_file_that_is_not_there_is_not_asked_for_as_a_data_set(monkeypatch, tmp_path, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("asked for"))
    with pytest.raises(CorpusError, match=f"no such corpus: {source}"):
        read_corpus(source)


def test_a_folder_of_a_data_set_has_splits(tmp_path):
    for split in ("train", "test"):
        rows = [{"text": f"{split} {write_document(n)}"} for n in range(3)]
        path = tmp_path / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = read_corpus(f"{tmp_path}:default:test")
    assert [document.text.split()[0] for document in corpus.documents] == ["test"] * 3
    with pytest.raises(CorpusError, match="cannot load it"):
        read_corpus(f"{tmp_path}:default:validation")
