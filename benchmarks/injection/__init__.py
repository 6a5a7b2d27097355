"""What a ControlNet costs a sampling step, beside what it costs others."""
