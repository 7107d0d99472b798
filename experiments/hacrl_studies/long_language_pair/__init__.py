"""What do two language models gain from each other's answers where answers are long?

    python experiments/run.py long_language_pair
    python experiments/run.py long_language_pair --seeds 2 --arms gspo hacpo     a quick look

The lab's own pair writes its worked solutions in sentences, 128 to 256 tokens of which a few decide. The pair was
chosen by its length, accuracy and importance ratios (near the paper's Table 6) before any methods were compared. Every
method trains with the learning rate that was best for it on three seeds whose results are not reported.
"""

MINUTES = 240
