"""list, show and rm."""

from __future__ import annotations


def test_list_knows_the_shipped_backbones(trained_abi):
    rows = trained_abi("list", "--kind", "backbone", "--json").json
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
    left = abi("list", "--backbone", "tiny-gpt2", "--json").json
    assert {row["name"] for row in left} == {"kept", "tiny-gpt2"}


def test_rm_refuses_what_ships(trained_abi):
    ran = trained_abi("rm", "ref-gpt2", "--yes", "--json")
    assert ran.code == 1
    assert "ships with abi" in str(ran.json)
