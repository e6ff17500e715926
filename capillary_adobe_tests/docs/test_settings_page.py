"""docs/configuration.md against the settings: its tables are those that the settings make.

Belongs here: the page, and variables that any page or file of `deploy` names. Does not belong here: what a setting does.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from capillary_adobe.settings import every_class
from capillary_adobe.settings.described import described
from capillary_adobe.settings_page import refreshed
from capillary_adobe_tests.docs.pages import PAGES, ROOT, page

# Read by boto3 and delta-rs, and by no setting.
OF_AWS_TOOLS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_REGION",
}
SETTINGS = described(every_class())
PREFIXES = sorted({name.partition("_")[0] for name in SETTINGS})
OUR_VARIABLES = re.compile(rf"\b(?:{'|'.join(PREFIXES)})_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
DEPLOYED = [path for path in sorted((ROOT / "deploy").rglob("*")) if path.is_file() and path.suffix != ".pyc"]


def test_the_page_is_what_the_settings_make_of_it() -> None:
    written = page("configuration.md")

    assert written == refreshed(written), "run `capillary-adobe settings --page docs/configuration.md`"


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_names_a_variable_that_does_not_exist(path: Path) -> None:
    names = set(OUR_VARIABLES.findall(path.read_text("utf-8")))

    assert names - set(SETTINGS) - OF_AWS_TOOLS == set()
