"""The one trainer of all matched methods, and what every training stage shares."""
