"""Searching folders of sounds by words or by example."""
