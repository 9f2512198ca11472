"""From records to what can be said: costs, estimates, verdicts, tables. Pure functions."""
