"""The search for the options that train the best model: `tune` is the way."""
