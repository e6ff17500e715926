"""A local Capillary: its webhook and event log APIs, and the notification service that posts events to webhooks.

Belongs here: what the demo and the tests need in place of Capillary. Does not belong here: anything that a client of
Capillary uses (`capillary.api`).
"""
