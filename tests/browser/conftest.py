from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.campaign import Shown, small_campaign
from tests.browser.chromium import Page, start


@dataclass(frozen=True)
class Desk:
    """A browser and the folder that it saves to."""

    browser: webdriver.Chrome
    downloads: Path


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    downloads = tmp_path_factory.mktemp("downloads")
    browser = start(downloads)
    yield Desk(browser, downloads)
    browser.quit()


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return small_campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture
def page(desk: Desk, campaign: Shown) -> Page:
    return Page(desk.browser, campaign.page)
