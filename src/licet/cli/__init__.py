"""The operator verbs."""
