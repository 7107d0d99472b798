"""What the studies on the token-chain world share: pairs of agents, runs and statistics."""
