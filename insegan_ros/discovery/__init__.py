"""From unlabelled depth frames to an explicit template of the part."""
