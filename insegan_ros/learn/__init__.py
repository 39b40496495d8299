"""How a part is learned from unlabelled frames: configuration, stages, one run folder."""
