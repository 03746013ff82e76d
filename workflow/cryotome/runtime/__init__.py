"""Life of a job: its process, log, GPU lease, partial work, failures and ledger."""
