"""The wire: the log that carries customer changes from the door to the worker."""
