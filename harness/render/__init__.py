"""Report formats, one file each: `render(report, folder) -> paths`. They know tables.py alone."""
