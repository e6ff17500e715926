"""Capillary loyalty events to Adobe Experience Platform, with proof that each one arrived."""

from capillary_adobe.library_logs import hold_libraries

hold_libraries()
