"""From a raw head scan to a model-ready volume: recipes as named lists of steps, quality, regional volumes."""
