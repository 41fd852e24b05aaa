"""What operators set: TOCSIN_* settings and the mappings tree, each mistake told with its place and remedy."""
