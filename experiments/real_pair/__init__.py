"""A pair of agents out of one real pre-trained model; see :mod:`real_pair.build`."""
