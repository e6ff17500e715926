"""Trying a mapping out before it counts: shown, traced on payloads, compared with another, run as a draft.

Belongs here: what an operator looks at before publishing. Does not belong here: the language (`language`), and the
stages of a rule.
"""
