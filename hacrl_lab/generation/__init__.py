"""How a causal language model samples."""
