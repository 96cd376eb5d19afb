"""A page open in headless Chromium, and what can be asked of it."""

import base64
import io
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.selenium import Axe
from pypdf import PdfReader
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

INSTALL = "apt-get install -y chromium chromium-driver"
PATIENCE_S = 180.0
"""How long is waited for what has to come, on a machine with much else to do."""

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
WITHIN = ("file:", "data:", "blob:", "about:")
"""Addresses that are no network."""


def start(downloads: Path) -> webdriver.Chrome:
    """Chromium without a window; a test fails where it is not installed.

    Args:
        downloads: folder that files are saved to.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.fail(f"Tests of the page need Chromium and its driver: {INSTALL}")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option(
        "prefs",
        {"download.default_directory": str(downloads), "download.prompt_for_download": False},
    )
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_page_load_timeout(PATIENCE_S)
    browser.set_script_timeout(PATIENCE_S)
    return browser


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The condition's value as soon as it is true; the test fails where it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return pytest.fail(f"waited {PATIENCE_S:.0f} s in vain for {what}")


@dataclass
class Page:
    """A page in a browser."""

    browser: webdriver.Chrome
    path: Path

    def open(self, width: int = 1280, dark: bool = False, scripts: bool = True) -> "Page":
        """Load the page anew as a reader with such a screen sees it."""
        self.told("browser")
        self.told("performance")
        command = self.browser.execute_cdp_cmd
        command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        command("Emulation.setEmulatedMedia", {"features": [scheme]})
        command("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self.browser.get(self.path.as_uri())
        if scripts:
            wait_for(lambda: self.run("return document.documentElement.dataset.ready"), "the page")
        return self

    def told(self, log: str) -> list[dict[str, Any]]:
        """What the browser has logged since it was last asked."""
        return list(self.browser.get_log(log))  # type: ignore[no-untyped-call]

    def requests(self) -> list[str]:
        """Addresses outside the page that it asked for since it was last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self.told("performance")]
        addresses = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in addresses if not address.startswith(WITHIN)]

    def run(self, script: str, *arguments: Any) -> Any:
        """What a piece of JavaScript returns."""
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """The first element that the CSS selector names."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All elements that the CSS selector names."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that the selector names, those that are hidden too."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return [str(text).strip() for text in self.run(script, selector)]

    def overflow(self) -> list[str]:
        """Elements that reach beyond the right edge of the page, unless they scroll themselves."""
        script = """
          const width = document.documentElement.clientWidth;
          const scrolls = e => e.closest('.wide, .filter, pre, .unseen, .plot svg, .skip');
          const wide = document.documentElement.scrollWidth > width ? ['the page'] : [];
          return wide.concat([...document.body.querySelectorAll('*')]
            .filter(e => !scrolls(e) && e.getBoundingClientRect().right > width + 1)
            .map(e => e.outerHTML.slice(0, 120)));"""
        return [str(found) for found in self.run(script)]

    def violations(self, impacts: Sequence[str] = ("serious", "critical")) -> list[str]:
        """What axe finds that keeps people from reading the page."""
        found = Axe().run(self.browser)
        return [
            f"{item['id']} ({item['impact']}): {item['help']}: {item['nodes'][0]['html'][:200]}"
            for item in found["violations"]
            if item["impact"] in impacts
        ]

    def pdf(self) -> PdfReader:
        """The page as it is printed on A4."""
        done = self.browser.execute_cdp_cmd(
            "Page.printToPDF", {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.69}
        )
        return PdfReader(io.BytesIO(base64.b64decode(done["data"])))
