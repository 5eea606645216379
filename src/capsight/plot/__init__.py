"""A picture of one place of a genome: what was observed there, what the model expects, and why."""
