"""What holds for every test.

Belongs here: that no generated example fails for the time it took, which on a busy machine is any; an example of 2 ms once took
290 ms; and how many there are where a test does not say. Does not belong here: fixtures, which stand beside the tests that use
them.
"""

from __future__ import annotations

from hypothesis import settings

from capillary_adobe_tests.examples import examples

settings.register_profile("untimed", deadline=None, max_examples=examples(100))
settings.load_profile("untimed")
