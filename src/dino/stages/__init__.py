"""What each subcommand does: load its inputs, call one function, save its result.

A stage depends on the modules that its own file imports, directly or not; dvc.yaml lists them
and a test compares. Editing a figure therefore never invalidates a pretraining.
"""
