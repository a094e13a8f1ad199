"""Records, provenance and the MLflow store."""
