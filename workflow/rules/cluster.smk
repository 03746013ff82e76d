"""
On a cluster every job gets the site's account and partition; short jobs that follow each other go together.

A group fails as a whole, and Snakemake then deletes all it made: a group never holds two rows.
"""

if DEVICE == "job":
    for placed in workflow.rules:
        SITE.cluster.place(placed, on_gpu)
