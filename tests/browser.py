"""A headless Chromium for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.commands import LIMIT
from tests.helpers import slow

LOOKS = [
    pytest.param(390, True, id="390-dark"),
    pytest.param(1280, False, id="1280-light"),
    pytest.param(390, False, id="390-light", marks=slow),
    pytest.param(1280, True, id="1280-dark", marks=slow),
]
"""Width in CSS pixels, and whether the user prefers dark."""

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str:
    """Path of the browser; without one the test is skipped, in CI it fails."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Seen:
    """What went wrong while a page was open, and what it asked for."""

    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def failed(self, request: Request) -> None:
        # called off is not failed: a reload does so with pictures that are still being loaded
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"failed: {request.url}: {request.failure}")


_MODULES = """
addEventListener("DOMContentLoaded", async () => {
  const map = document.querySelector("script[type=importmap]");
  const names = Object.keys(map ? JSON.parse(map.textContent).imports : {});
  window.nst = Object.assign({}, ...await Promise.all(names.map((name) => import(name))));
});
"""
"""Gives tests what the page's modules export, as ``nst``."""

_shared: list[Callable[[], Browser]] = []


@contextmanager
def one_browser() -> Iterator[None]:
    """Until its end, every page is opened in the same browser, as another person would."""
    with ExitStack() as stack:
        _shared.append(cache(lambda: stack.enter_context(_launched())))
        try:
            yield
        finally:
            _shared.pop()


@contextmanager
def _launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # root, as in containers, may only run Chromium without its sandbox
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=executable(), args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(
    path: Path, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[tuple[Page, Seen]]:
    """A page opened from disk, with everything recorded that a user should never meet."""
    seen = Seen()
    with nullcontext(_shared[-1]()) if _shared else _launched() as browser:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(1000 * LIMIT)
        page = context.new_page()
        page.on("console", lambda message: seen.problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: seen.problems.append(f"dialog: {dialog.message}"))
        page.on("requestfailed", seen.failed)
        page.on("request", lambda request: seen.requests.append(request.url))
        try:
            page.add_init_script(_MODULES)
            page.goto(path.resolve().as_uri())
            yield page, seen
        finally:
            context.close()
