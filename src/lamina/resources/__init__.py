"""What a machine may run out of: `disk`, the one place that writes files, and `memory`."""
