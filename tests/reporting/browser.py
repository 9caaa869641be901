"""Debian's chromium, headless and without a network, and screenshots of the report page.

python tests/reporting/browser.py results/report.html docs/report.png    # the README's picture
"""

import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

COMMANDS = ("chromium", "chromedriver")
PACKAGES = ("chromium", "chromium-driver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # of no use to root, who runs the tests in containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    # what a page would ask a network for fails at once, and shows
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
QUIET_S = 120
APT_LOCK = Path("/tmp/dino-tests-apt.lock")
"""tests/slurm/cluster.sh installs packages too, perhaps now."""


class Missing(Exception):  # noqa: N818
    """Why there is no browser here."""


def install() -> None:
    """Raise `Missing` where chromium neither is installed nor can be; as root it is installed."""
    if all(map(shutil.which, COMMANDS)):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(f"no {' and '.join(COMMANDS)}: as root, apt-get install {' '.join(PACKAGES)}")
    quiet: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 5 * QUIET_S}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with APT_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            subprocess.run(["apt-get", "update", "-qq"], **quiet)
            done = subprocess.run(
                ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
                env=environment,
                **quiet,
            )
        except subprocess.TimeoutExpired as error:
            raise Missing(f"chromium cannot be installed: {error}") from None
    if done.returncode:
        raise Missing(f"chromium cannot be installed: {' '.join(done.stderr.split())}")


@contextmanager
def opened(
    page: Path, width_px: int = 1280, height_px: int = 900, dark: bool = False, scale: float = 1
) -> Iterator[Chrome]:
    """`page` in a window of that size."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(executable_path=shutil.which("chromedriver"))
        browser = Chrome(options=options, service=service)
        try:
            browser.set_page_load_timeout(QUIET_S)
            # a window cannot be as narrow as a telephone
            size = {"width": width_px, "height": height_px, "deviceScaleFactor": scale}
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride", {**size, "mobile": width_px < 500}
            )
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            browser.get("about:blank")
            requests(browser)  # those of the window's first page
            browser.get(page.resolve().as_uri())
            yield browser
        finally:
            browser.quit()


def requests(browser: Chrome) -> list[str]:
    """The addresses that the page asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        str(message["params"]["request"]["url"])
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def shown(browser: Chrome, selector: str) -> None:
    """Scroll until what `selector` finds is at the window's top, and wait until it is drawn."""
    browser.execute_async_script(
        "const done = arguments[1];"
        "document.querySelector(arguments[0]).scrollIntoView();"
        "requestAnimationFrame(() => requestAnimationFrame(() => done()));",
        selector,
    )


def main(page: Path, picture: Path) -> None:
    """Write `picture` (PNG): the attention explorer as a reader sees it."""
    install()
    with opened(page, width_px=1240, height_px=1010) as browser:
        shown(browser, "#explorer")
        screenshot = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    # a palette: half the bytes, and nobody sees it
    screenshot.quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
