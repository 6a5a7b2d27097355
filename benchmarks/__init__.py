"""What zeroctl costs, and where it differs from others: `python -m benchmarks.NAME` from the repository's root."""
