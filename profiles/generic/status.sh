#!/bin/sh
# Print `running`, `success` or `failed` for a number of submit.sh; a killed job has left no status.
if ended=$(cat ".snakemake/generic/$1" 2> /dev/null); then
  [ "$ended" = 0 ] && echo success || echo failed
else
  kill -0 "$1" 2> /dev/null && echo running || echo failed
fi
