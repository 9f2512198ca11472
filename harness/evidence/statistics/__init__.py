"""Pure numbers: estimates, intervals, tests and verdicts, knowing nothing of runs."""
