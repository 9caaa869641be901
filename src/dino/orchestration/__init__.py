"""What comes before any job: checks of all that can be known, by one code for all who start jobs.

Snakemake's plan, a stage's command (and with it `dvc repro`) and `dino doctor` ask the same
functions. A rule lives where its stage enforces it; here it is only asked earlier.
"""
