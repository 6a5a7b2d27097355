"""Conditions while a setting is being changed: small, before any run."""
