"""The hook in the MODEL: what computes the control of every UNet call of a run."""
