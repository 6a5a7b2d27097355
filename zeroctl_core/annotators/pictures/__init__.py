"""What annotators do with pictures: levels, sizes, parts of a batch."""
