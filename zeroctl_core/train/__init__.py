"""Training: one loop for every network of this package, and what makes a ControlNet of an untrained copy."""
