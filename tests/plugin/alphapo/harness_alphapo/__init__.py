"""Methods for orpo-harness."""
