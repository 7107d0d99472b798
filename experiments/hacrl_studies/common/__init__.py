"""What the studies share: the command line, the cell cache, comparisons, tables, figures, pages, teams and testbeds."""
