"""The delivery report: one page that tells whether everything flows, what is stuck, and whether yesterday arrived completely.

Belongs here: gathering what the accounts and registers tell, and the page made of it. Does not belong here: any figure of its
own; one that is missing is added to the account that it belongs to.
"""
