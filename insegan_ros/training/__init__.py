"""One update, the loop around it, checkpoints."""
