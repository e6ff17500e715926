"""Facts that rows of an export tell of customers: documents as of the export, tier changes as of their moment.

Belongs here: for each template, which column is which field of a customer's document. Does not belong here: the document
and its merge (`profiles.document`), reading a cell (`cells.py`).
"""
