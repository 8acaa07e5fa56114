"""The memory: PostgreSQL, behind ports split by use."""
