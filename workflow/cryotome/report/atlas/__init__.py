"""Error atlas: sheets of patches, agreement of rows, files for QuPath."""
