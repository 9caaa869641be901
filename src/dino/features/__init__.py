"""Features, tokens and attention of frozen backbones."""
