"""The doctor: looks whether an installation can work, and says what to do where it cannot.

Belongs here: small looks at one thing each, which change nothing and end in one line. Does not belong here: mending
anything, judging data (the checks of the assets do) and anything that imports dagster (`defs.doctor`).
"""
