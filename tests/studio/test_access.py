"""Who gets a page: hosts, origins and tokens."""

from __future__ import annotations

import pytest

from tests.studio.conftest import OWN, PORT, show
from transplant.studio.access import Access, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1:8471", "localhost:8471", "LOCALHOST", "[::1]:9000"])
def test_names_of_this_machine_are_answered(shown, host):
    assert shown.client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example:8471", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil", 421),
        ("10.0.0.7:8471", 421), ("0.0.0.0:8471", 421), ("", 400), ("localhost:x", 400),
        ("localhost/..", 400), ("user@localhost", 400), ("a" * 400, 400), ("127.0.0.1\t", 400),
    ],
)  # fmt: skip
def test_a_name_that_may_be_anybodys_is_refused(shown, host, status):
    answer = shown.client.get("/", headers={"host": host})
    assert answer.status_code == status
    assert "ref-gpt2" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1:8471"},
        {"origin": "http://127.0.0.1:9999"}, {"origin": "http://localhost:8471"}, {},
        {**OWN, "sec-fetch-site": "cross-site"},
    ],
)  # fmt: skip
def test_another_site_starts_nothing(shown, headers):
    form = {"backbone": "ref-gpt2", "system": "ref-gpt2", "prompt": "a", "tokens": "1"}
    before = len(shown.studio.actions.asked)
    assert shown.client.post("/generate", data=form, headers=headers).status_code == 403
    assert len(shown.studio.actions.asked) == before


def test_a_page_of_another_site_reads_nothing(shown):
    assert shown.client.get("/", headers={"origin": "http://evil.example"}).status_code == 403
    answer = shown.client.get("/", headers=OWN)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_it_only_shows(shown, method):
    answer = shown.client.request(method, "/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/", "/nothing", "/studio.css", "/run?id=x"])
def test_every_answer_lets_nothing_in(shown, path):
    headers = shown.client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    refused = shown.client.get(path, headers={"host": "evil.example"}).headers
    assert "default-src 'none'" in refused["content-security-policy"]


def test_beyond_loopback_a_token_is_asked_for(tmp_path):
    made = show(tmp_path, bound="192.168.1.5")
    token = made.client.app._access.token
    assert len(token) > 40
    assert made.client.get("/").status_code == 401
    for wrong in ("x", token[:-1], token + "x", "é"):
        assert made.client.get("/", params={"token": wrong}).status_code == 401
        assert made.client.get(
            "/", headers={"cookie": f"abi-studio-{PORT}={wrong[:9]}".encode()}
        ).is_error
    opened = made.client.get("/artifacts", params={"kind": "module", "token": token})
    assert (opened.status_code, opened.headers["location"]) == (303, "/artifacts?kind=module")
    assert {"HttpOnly", "SameSite=strict"} <= {*opened.headers["set-cookie"].split("; ")}
    assert made.client.get("/artifacts?kind=module").status_code == 200  # by its cookie
    made.client.cookies.clear()
    assert made.client.get("/", headers={"authorization": f"Bearer {token}"}).status_code == 200
    assert (
        made.client.get(
            "/", headers={"host": "evil.example", "authorization": f"Bearer {token}"}
        ).status_code
        == 421
    )
    assert token not in repr(made.client.app._access)


def test_a_token_leads_to_no_other_site(tmp_path):
    made = show(tmp_path, bound="192.168.1.5")
    token = made.client.app._access.token
    away = made.client.get(f"http://192.168.1.5:{PORT}//evil.example/?token={token}")
    assert away.headers["location"] == "/evil.example/"


def test_tokens_differ_and_loopback_needs_none():
    made = [Access.to("0.0.0.0", "0.0.0.0", 1) for _ in range(2)]
    assert made[0].token != made[1].token
    assert Access.to("localhost", "127.0.0.1", 1).token is None
    assert [is_loopback(a) for a in ("127.0.0.2", "::1", "0.0.0.0", "::", "localhost")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_on_every_interface_an_address_is_answered_and_a_strange_name_is_not():
    access = Access.to("0.0.0.0", "0.0.0.0", PORT)
    assert access.refuse("GET", {"host": ["192.168.1.5:8471"]}) is None
    assert access.refuse("GET", {"host": ["evil.example"]}).status == 421
    assert access.refuse("GET", {"host": ["localhost", "localhost"]}).status == 400
