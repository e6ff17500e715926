"""A process that delivers the profile of every customer who is due, for a test that kills it.

Run: python -m capillary_adobe_tests.adobe.delivering_profiles <state url> <day>
"""

from __future__ import annotations

import sys

from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.sending_profiles import deliver, due_records

if __name__ == "__main__":
    url, day = sys.argv[1:]
    opened = State(url)
    deliver(load(AdobeSettings), opened, due_records(opened, None, day), day=day)
