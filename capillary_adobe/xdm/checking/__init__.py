"""The check of a mapping: every rule held against schema, sources, units and identities before a run.

Belongs here: findings with their place and cure. Does not belong here: the language (`language`) and judging entities
(`conformance`).
"""
