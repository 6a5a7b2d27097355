"""All figures that need a GPU, in one run of one command."""
