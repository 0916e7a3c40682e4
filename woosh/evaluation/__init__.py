"""Folders of sounds in, a report out."""
