"""What the studies of small agents share: teams, worlds, runs and statistics."""
