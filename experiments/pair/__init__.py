"""The main job in parts: its options, the lab's own pair of models, the run, the report."""
