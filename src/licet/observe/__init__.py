"""Every name that leaves the process: metrics, log events, traces, health."""
