"""Events that rows of an export tell: the `data` of the webhook that would have told the same.

Belongs here: for each template, which column is which field. Does not belong here: reading a cell (`cells.py`), where a row
belongs (`becoming.py`).

What an export does not tell is left out and never guessed: balances after an event, ids of requests, the currency of a bill
that names none.
"""
