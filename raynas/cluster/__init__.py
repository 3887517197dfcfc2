"""The only package that knows Ray: actors, the trainable, schedulers, stand-alone trainings as tasks."""

import time

PROCESS_BEGAN = time.time()
"""When this process came to import the package: in a worker, before torch is loaded (seconds since the epoch)."""
