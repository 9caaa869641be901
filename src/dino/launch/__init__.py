"""Where a stage is computed: by processes on this machine, or as a SLURM job."""
