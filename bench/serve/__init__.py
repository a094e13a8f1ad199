"""Trained models at work: predict, export and serve.

- pictures: files, folders, patterns and addresses -> bytes -> pixels as the run's images were stored.
- classifier, ensemble, exported: pixels -> class probabilities: of a run, of several models, of an exported model.
- temperature: one number, fitted on val, that makes confidences honest.
- modules, export, quantize, measure, docker: a run as ONNX or torch.export with its preprocessing inside.
- logged: a run in MLflow's own form of a model.
- app, limits, insight, page/: the server, what it allows, and what its page shows beside probabilities.
"""
