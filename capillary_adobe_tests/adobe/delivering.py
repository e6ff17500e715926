"""A process that delivers entities, for a test that kills it: state address and number of entities as arguments.

Belongs here: one run of delivery as a run does it, settings from the environment. Does not belong here: any expectation.
"""

from __future__ import annotations

import sys

from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.sending import deliver, entities


def main() -> None:
    """Deliver."""
    deliver(load(AdobeSettings), State(sys.argv[1]), entities(int(sys.argv[2]), padding=200))
