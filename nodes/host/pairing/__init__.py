"""Which ControlNet files fit a MODEL and an annotator, before any run: by headers and names."""
