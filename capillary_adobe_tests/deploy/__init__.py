"""Tests of what `deploy/` holds.

Belongs here: that units, container file, nginx configuration and function fit the program. Does not belong here: the
receiver's own behaviour (`capillary_adobe_tests/landing`).
"""
