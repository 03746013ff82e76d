"""From files to cells, patches, tiles, cohorts and splits."""
