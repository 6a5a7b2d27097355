"""Who is measured: a base with its controls in the host, or without a host, and diffusers beside either."""
