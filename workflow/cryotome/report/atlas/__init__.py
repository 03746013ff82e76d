"""The error atlas: where the rows of a study err and disagree, as sheets, slides and tables."""
