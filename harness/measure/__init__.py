"""What a stage costs: seconds, bytes, FLOPs, joules, and where it ran."""
