"""What an experiment and a sweep are: typed, validated, hashable. Imports nothing from bench's other rooms."""
