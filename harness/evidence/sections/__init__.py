"""The report's sections, one file each: tables, figures and sentences from what the root computed."""
