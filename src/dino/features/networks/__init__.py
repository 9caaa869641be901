"""How tokens, attention and features are read out of a network, by its kind.

`dino.features.frozen_backbone` chooses; nothing else looks inside a network.
"""
