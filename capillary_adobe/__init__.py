"""Capillary loyalty events to Adobe Experience Platform, with proof that each one arrived."""
