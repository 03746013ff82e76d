#!/bin/sh
# Start a script in a process of its own and print its number, as a scheduler's command does.
mkdir -p .snakemake/generic
setsid sh -c '"$1"; echo $? > ".snakemake/generic/$$"' sh "$1" > /dev/null 2>&1 &
echo $!
