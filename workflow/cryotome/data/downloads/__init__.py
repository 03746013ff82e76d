"""Downloads of public records, with checksums and resuming."""
