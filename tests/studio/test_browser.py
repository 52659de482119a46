"""Pages in a headless browser: no sideways scroll, no error, nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import threading

import pytest

from tests.pictures.browser import CHROMIUM, needs_chromium, widths
from tests.studio.conftest import MOVED
from transplant.studio.listening import open_socket, server_of

ARTIFACT = f"/artifact?kind=module&name={MOVED.replace('@', '%40')}"

LOUD = "data:text/html,abi studio<script>console.error('is heard')</script>"
"""The control: a page that says something."""


@needs_chromium
@pytest.mark.parametrize("path", [ARTIFACT, "transfer.json"])
def test_no_page_is_wider_than_a_telephone(shown, tmp_path, path):
    if not path.startswith("/"):
        found = re.findall(r'href="(/run[?][^"]+)">([^<]+)<', shown.client.get("/runs").text)
        path = next(link for link, name in found if name.endswith(path))
    style = f"<style>{shown.client.get('/studio.css').text}</style>"
    page = shown.client.get(path).text.replace('<link rel="stylesheet" href="/studio.css">', style)
    assert style in page
    assert widths(page, tmp_path, 390, 1280) == [0, 0]


@needs_chromium
def test_the_console_of_a_browser_says_nothing(shown, tmp_path):
    with open_socket("127.0.0.1", 0) as listening:
        server, port = server_of(shown.client.app), listening.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            found = re.findall(r'href="(/run[?][^"]+)">([^<]+)<', shown.client.get("/runs").text)
            curve = next(link for link, name in found if "curve" in name)
            own = [f"http://127.0.0.1:{port}{path}" for path in (ARTIFACT, curve)]
            said = [console(url, tmp_path) for url in (*own, LOUD)]
        finally:
            server.should_exit = True
            thread.join(20)
    assert said[:2] == [[], []]
    assert "is heard" in said[2][0]


def console(url: str, folder) -> list[str]:
    """What a browser writes to its console on a page."""
    words = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", url,
    ]  # fmt: skip
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "abi studio" in ran.stdout
    return [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
