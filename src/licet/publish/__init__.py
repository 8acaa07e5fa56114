"""Telling others: each customer that a revision touched, on a compacted topic, at least once and in order."""
