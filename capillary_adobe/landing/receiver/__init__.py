"""The webhook receiver: takes what Capillary posts, and answers once it is durable.

Belongs here: everything from the socket to the landed object. Does not belong here: reading landed objects (`landing`),
subscribing at Capillary (`capillary.api`).
"""
