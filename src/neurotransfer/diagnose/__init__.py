"""Why a learning curve does not behave: luck, double descent, the data, the model, the procedure."""
