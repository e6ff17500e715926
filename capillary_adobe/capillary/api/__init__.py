"""Capillary's own API: the client, its token, the webhooks and the delivery log.

Belongs here: what is asked of Capillary over HTTP. Does not belong here: events that Capillary sends (the package above) and
what the answers lead to (`subscribing`, `reconciling`).
"""
