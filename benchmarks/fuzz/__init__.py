"""One script in several files: damage what the commands read, and count how each ended; see `__main__`."""
