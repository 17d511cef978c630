"""What a verdict sets going outside of the program."""
