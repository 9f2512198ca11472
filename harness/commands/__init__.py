"""One command a file: what it does, without parsing or exit codes."""
