"""Methods that make predictions: recipes in `baselines/` and the code that follows them."""
