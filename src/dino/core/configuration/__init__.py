"""params.yaml as frozen dataclasses: one module per section, so that a stage depends on its own."""
