"""What both shapes share to start: environment, first keys, output file, child processes. See README.md."""
