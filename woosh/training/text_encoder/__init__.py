"""Training the text encoder from a teacher."""
