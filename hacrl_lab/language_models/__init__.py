"""Language models of the transformers library as agents: loading, prompting, scoring, sampling, memory and time."""
