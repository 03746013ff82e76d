"""What the jobs of a study cost: GFLOP, disk, memory and time."""
