"""The language-model pair in parts: its options, its models, their pre-training, the run, the report."""
