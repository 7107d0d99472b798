"""Other ways to train agents on verified answers, to compare HACRL with; each is a loop with a ``step``."""
