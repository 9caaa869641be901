"""Backbones, projection head, student and teacher, checkpoints."""
