"""What annotators do with pictures: levels, sizes, parts of a batch; and how pictures are shown."""
