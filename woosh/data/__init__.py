"""Data sets at scale: recordings cut where they sound, written to shards, and read from them."""
