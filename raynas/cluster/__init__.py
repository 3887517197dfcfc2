"""The only package that knows Ray: actors, the trainable, schedulers, stand-alone trainings as tasks."""
