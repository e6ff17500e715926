"""Customers: their documents, merged so that the newest value wins, and what becomes of identities, merges and deletions.

Belongs here: what follows from facts about customers, without any input or output. Does not belong here: keeping the
documents (`state.customers`), looking customers up (`capillary.api`), the form of a profile in XDM (`xdm`).
"""
