"""Alerts: what is due to whom, in which words, and sending it; and the conditions that no run can tell of.

Belongs here: everything about alerts that needs no Dagster. Does not belong here: reading runs (`defs.run_alerts`), the rows
(`state.alerts`).
"""
