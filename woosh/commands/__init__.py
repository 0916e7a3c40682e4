"""The commands of `woosh`, one file each; importing them needs no torch."""
