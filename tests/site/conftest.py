"""A headless Chromium, and the built site that it looks at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
"""Options for a machine without a screen and without a network."""


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site, from the environment."""
    if "HACRL_LAB_SITE" not in os.environ:
        pytest.fail("HACRL_LAB_SITE must name the folder of the built site")
    return Path(os.environ["HACRL_LAB_SITE"]).resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """HACRL_LAB_CHROMIUM names it where it is not Debian's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("HACRL_LAB_CHROMIUM", "/usr/bin/chromium")
        launched = playwright.chromium.launch(executable_path=path, args=QUIET.split())
        yield launched
        launched.close()
