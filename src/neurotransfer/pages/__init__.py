"""Pages as values: what stands on one, apart from how a browser or matplotlib draws it."""
