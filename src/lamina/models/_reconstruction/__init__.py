"""What networks share that give back what they are fed: values, encoders, decoders, and where they begin."""
