"""Released files to our folders: names of tensors, options, strict checks."""
