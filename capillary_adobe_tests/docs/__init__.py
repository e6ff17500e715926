"""Tests of the documentation.

Belongs here: that the pages say what the code does. Does not belong here: the code's own behaviour.
"""
