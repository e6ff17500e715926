"""The mapping language: files of rules read, a tenant's laid over the shipped ones, compiled to functions.

Belongs here: from YAML text to a function and to the fields that it writes. Does not belong here: judging a mapping
(`checking`), trying one out (`trying`) and XDM itself.
"""
