"""Training: the loop, its recipe, what a worker evaluates, retraining, and checkpoints."""
