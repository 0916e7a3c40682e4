"""Metrics of sound: one definition of each, with its source; nothing here reads files."""
