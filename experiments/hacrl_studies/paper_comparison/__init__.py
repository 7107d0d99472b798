"""Do our findings agree with the paper's?

    python experiments/run.py paper_comparison
    python experiments/run.py paper_comparison --worlds chain

The paper's numbers (see ``SOURCE.md``) are those of language models on mathematics, single runs; ours are success in
small worlds, many seeds. What can be compared is the sign of a difference. They are read from the
CSV files of the studies heterogeneity and ablations, the published ones or those of another folder.
"""

MINUTES = 0.25
