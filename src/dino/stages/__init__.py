"""The stages: each loads its inputs, calls one function and saves its result.

A stage depends on the modules that its own file imports, directly or not; dvc.yaml lists them
and a test compares. Editing a figure therefore never invalidates a pretraining.
"""
