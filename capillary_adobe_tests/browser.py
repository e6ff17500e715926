"""A browser that a test drives: Chromium as this machine has it, without a window, and pictures of what it shows.

Belongs here: finding and starting it, and where pictures go. Does not belong here: any page or expectation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from capillary_adobe_tests.services import missing

PICTURES_VARIABLE = "TEST_SCREENSHOTS"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# It talks to the program under test alone; whatever else it does by itself would be traffic and work for nothing.
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SIZE: ViewportSize = {"width": 1600, "height": 1000}
# Two cores are shared with other tests: a wait ends when what it waits for is so, and else only here.
_PATIENCE_MS = 180_000


@dataclass
class Browser:
    """A page and the pictures that were taken of it, numbered in their order."""

    page: Page
    pictures: Path
    taken: list[Path] = field(default_factory=list)

    def picture(self, name: str) -> None:
        """Take a picture of what is in view."""
        path = self.pictures / f"{len(self.taken) + 1:02}-{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        self.taken.append(path)


def path_of_chromium() -> str:
    """Where it is; a test that needs it is skipped where it is not."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        missing("no Chromium on the PATH (apt-get install chromium)")
    return found or ""


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """An empty page; pictures go to the folder that TEST_SCREENSHOTS names, or below `folder`."""
    found = path_of_chromium()
    pictures = Path(os.environ.get(PICTURES_VARIABLE) or folder / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_QUIET, chromium_sandbox=False)
        try:
            page = browser.new_page(viewport=_SIZE)
            page.set_default_timeout(_PATIENCE_MS)
            yield Browser(page, pictures)
        finally:
            browser.close()
