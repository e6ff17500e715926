"""Insights+: Capillary's exports of history, read as rows and turned into the events that its webhooks would have sent.

Belongs here: files, templates, columns, and what a row becomes. Does not belong here: landing what was made of a file
(`history_importing.py`) and the road from there on.
"""
