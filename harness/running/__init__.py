"""From a checked spec to finished stages: what the outside world adds, checks, forecasts, execution."""
