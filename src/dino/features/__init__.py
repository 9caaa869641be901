"""What frozen backbones say about images."""
