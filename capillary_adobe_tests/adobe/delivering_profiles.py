"""A process that delivers the profile of every customer who is due, for a test that kills it.

Arguments: state address, day.

Belongs here: one run of it, settings from the environment. Does not belong here: any expectation.
"""

from __future__ import annotations

import sys

from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.sending_profiles import deliver, due_records


def main() -> None:
    """Deliver."""
    url, day = sys.argv[1:]
    opened = State(url)
    deliver(load(AdobeSettings), opened, due_records(opened, None, day), day=day)
