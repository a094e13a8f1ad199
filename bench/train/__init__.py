"""Training: from an Experiment, its data and its model to a Result."""
