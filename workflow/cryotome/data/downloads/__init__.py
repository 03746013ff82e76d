"""Downloads of public records: list, fetch, check and unpack their files."""
