"""Which alerts belong together, and who is paged for nothing? A stream of alerts through the product's own code."""
