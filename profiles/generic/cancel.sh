#!/bin/sh
# Stop the jobs of these numbers, with all that they have started.
for number; do kill -- "-$number"; done
