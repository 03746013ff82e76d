"""Ways to split cells and patients into training, validation and test."""
