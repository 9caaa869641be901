"""The objective: the loss between student and teacher, and the center against collapse."""
