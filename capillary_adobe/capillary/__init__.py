"""The source: Capillary's event catalogue, its envelopes, its values, and the raw and enriched events made of them.

Belongs here: everything that is true of Capillary alone. Does not belong here: XDM (`xdm`) and AEP (`adobe`).
"""
