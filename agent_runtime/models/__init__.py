"""What thinks in a turn: an OpenAI-compatible endpoint, or rules without a model."""
