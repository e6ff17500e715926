"""A brand's mapping folder: event types, sources and a namespace of its own, and rules for one of the types.

Belongs here: the texts that several tests lay over the shipped mapping. Does not belong here: any expectation.
"""

OWN = """
wallet:
  walletToppedUp: {natural_key: topUpId}
  walletClosed: {person: "owners[].customerIdentifiers"}
custom_sources:
  walletToppedUp: [amount, "bonuses[].amount"]
  pointsIssued: [colour]
namespaces: [memberCard]
"""
RULES = """
walletToppedUp:
  event_type: loyalty.walletToppedUp
  use: [envelope]
  fields:
    _tenant.brand.amount: {from: amount, as: number, unit: money}
"""
