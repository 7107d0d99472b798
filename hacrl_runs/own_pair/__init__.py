"""The lab's own pair of language models: what each is, its tokenizer, and its pre-training."""
