"""How a job runs: interpreter, devices, log, ledger, failures, resuming, Slurm."""
