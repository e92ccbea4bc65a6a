"""What can be run: a recipe is a frozen dataclass, and running it is a function of it."""
