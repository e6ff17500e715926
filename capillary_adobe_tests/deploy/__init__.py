"""Tests of what `deploy/` holds.

Belongs here: that units, dagster.yaml variants, container file, manifests, nginx configuration and function fit the programs.
Does not belong here: the programs' own behaviour (`capillary_adobe_tests/landing`, `capillary_adobe_tests/defs`).
"""
