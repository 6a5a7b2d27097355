"""From pictures with conditions and captions to what a control is trained on: encoded once, kept by key."""
