"""What is minimised: the loss between student and teacher, and the center against collapse."""
