"""Tests of the emulators, through the HTTP doors that delivery uses."""
