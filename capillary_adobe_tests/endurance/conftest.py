"""Fixtures of the tests of endurance: the same installation beside an emulator as the code location's own tests."""

from capillary_adobe_tests.defs.conftest import emulator, installation

__all__ = ["emulator", "installation"]
