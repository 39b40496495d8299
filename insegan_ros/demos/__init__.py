"""`make demo` and its kin: node processes, a recorder of what they say, pictures."""
