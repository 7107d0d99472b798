"""The lab's own pair of language models: two families, two tokenizers, two sets of weaknesses, built on first use."""
