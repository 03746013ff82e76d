"""
On a cluster every job gets the site's account and partition; what the command line says of a rule stays.

Which short jobs go together is said in `profiles/slurm/config.yaml`.
"""

if PLACED:
    for placed in workflow.rules:
        SITE.cluster.place(
            placed,
            on_gpu,
            kept=workflow.resource_settings.overwrite_resources.get(placed.name, []),
        )
