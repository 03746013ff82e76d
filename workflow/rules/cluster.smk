"""
What every job gets beside its rule: the software environment, and the account and partition of a cluster.

Which short jobs form one Slurm job is set in `profiles/slurm/config.yaml`.
"""

for each in workflow.rules:
    if not each.norun:
        each.conda_env = "../../envs/cryotome.yaml"
    if os.environ.get(SCHEDULER) == SLURM:
        # what the command line sets for a rule stays
        kept = workflow.resource_settings.overwrite_resources.get(each.name, [])
        SITE.cluster.place(each, on_gpu, kept=kept)
