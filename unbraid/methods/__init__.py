"""One folder per method: model.py, recipes.py, README.md."""
