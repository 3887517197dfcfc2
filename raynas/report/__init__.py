"""Reading runs: the `Run` object, its figures and its page."""
