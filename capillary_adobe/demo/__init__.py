"""Made-up traffic: the loyalty events of a fictional brand, for the demo, the tests and the benchmarks.

Belongs here: the brand, its customers and what befalls them, the shapes and flaws in which their events land, and the
writers that land them. Does not belong here: reading landed events, or anything that the road itself needs.

No value stems from a person: mail addresses end in example.com, numbers begin with the unassigned country code 999.
"""
