"""The one place that wires: it alone names adapters. Importing it does nothing; each ``build_*`` constructs."""
