"""list, show and rm."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest


def test_list_knows_the_shipped_backbones(trained_abi):
    rows = trained_abi.rows("--kind", "backbone")
    shipped = {row["name"] for row in rows if row["shipped"]}
    assert {"ref-gpt2", "ref-gpt2-b", "ref-llama", "ref-t5"} <= shipped
    assert {"tiny-gpt2", "tiny-llama", "tiny-t5"} <= {row["name"] for row in rows}


def test_list_for_people_names_what_it_lists(trained_abi):
    ran = trained_abi("list", "--kind", "module")
    assert "tales" in ran.out
    assert "tiny-gpt2" in ran.out


def test_rm_takes_the_module_and_its_interface_and_nothing_else(abi):
    assert abi.train("tiny-gpt2").code == 0
    assert abi.train("tiny-gpt2", "--name", "kept").code == 0
    asked = abi("rm", "tales@tiny-gpt2")
    assert asked.code == 1  # no answer on stdin: nothing is removed
    report = abi("rm", "tales@tiny-gpt2", "--yes", "--json").json
    assert report["bytes"] > 0
    assert len(report["removed"]) == 2
    left = abi.rows("--backbone", "tiny-gpt2")
    assert {row["name"] for row in left} == {"kept", "tiny-gpt2"}


def test_rm_refuses_what_ships(trained_abi):
    ran = trained_abi("rm", "ref-gpt2", "--yes", "--json")
    assert ran.code == 1
    assert "ships with abi" in str(ran.json)


def test_list_has_a_row_for_a_module_with_its_interface_and_says_when_and_how_large(trained_abi):
    for words in (("modules",), ("--kind", "module"), ("--kind", "modules"), ()):
        rows = trained_abi.rows(*words, "--backbone", "tiny-gpt2")
        (row,) = [row for row in rows if row["name"] == "tales"]
        assert (row["kind"], row["with"], row["hosted"]) == (
            "module", ["interface"], "tales@tiny-gpt2/d16"
        )  # fmt: skip
        assert datetime.fromisoformat(row["date"]) <= datetime.now(UTC)
        assert row["bytes"] > 1000
    assert trained_abi("list", "thing", "--json").json["found"] == "'thing'"
    shown = trained_abi("list", "modules").out.splitlines()
    assert shown[1].split() == ["name", "kind", "backbone", "with", "d_abi", "date", "size",
                                "recovered"]  # fmt: skip


def test_recovered_stands_in_the_list_and_the_evidence_in_show(trained_abi, monkeypatch):
    """Of what an older version has stored, too: the shipped modules have no intervals."""
    (row,) = trained_abi.rows("modules", "--backbone", "ref-llama")[-1:]
    assert row["recovered"] == pytest.approx(0.388, abs=1e-3)
    monkeypatch.setenv("COLUMNS", "160")
    shown = trained_abi("show", "python-shipped-from-ref-gpt2@ref-llama").out
    assert "module-free: random module, output refitted" in shown
    assert "0.388" in shown
    assert "ppl" not in trained_abi("show", "tiny-llama").out  # control: nothing was measured


def test_show_leaves_token_counts_to_full(trained_abi):
    short, full = (
        trained_abi("show", "tales@tiny-gpt2", "--json", *more).json for more in ((), ("--full",))
    )
    assert "token_counts" not in short["made"]
    assert full["made"].pop("token_counts")
    assert short == full


def test_show_offers_what_is_like_a_name_that_is_not_there(trained_abi):
    module, backbone = (trained_abi("show", name, "--json") for name in ("tale", "tiny-gtp2"))
    assert (module.code, backbone.code) == (1, 1)
    assert "tales@tiny-gpt2" in module.json["found"]
    assert "closest are tiny-gpt2" in backbone.json["found"]
    assert "tales" not in backbone.json["found"]
