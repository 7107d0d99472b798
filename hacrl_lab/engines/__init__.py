"""Where agents live: in this process, or elsewhere."""
