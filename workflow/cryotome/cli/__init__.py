"""Programs of the command line, one for each `make` target of the same name."""
