"""The first hour on a GPU: what has to hold there before any figure of it is believed."""
