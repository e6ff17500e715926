"""Emulators: local stand-ins for the outside systems, spoken to over real HTTP by the demo and the tests.

Belongs here: servers that answer as the documentation of an outside system says it answers, and what they show of what
they received. Does not belong here: anything that delivery needs in production; nothing outside the demo, the command
line and the tests imports this package.
"""
