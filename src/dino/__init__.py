"""DINO: self-distillation with no labels, trained, scored and plotted as one workflow."""
