"""Files by which game engines and their sound tools take in a folder of assets."""
