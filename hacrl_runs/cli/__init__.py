"""The command ``hacrl-lab``, above everything else of the package."""
