"""DisenQ: identity, motion and appearance read from a clip by three groups of queries, with texts in training."""
