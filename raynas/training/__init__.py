"""The training loop, scores of paths, stand-alone training, the budget ledger."""
