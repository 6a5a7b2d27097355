"""Keys of the metadata in the header of a file that this package writes."""

HEADER = "zeroctl."
POOLING_KEY = HEADER + "global_average_pooling"
