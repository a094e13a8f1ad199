"""Trained models at work: predict, export and serve.

- pictures: files, folders, patterns and addresses -> bytes -> pixels as the run's images were stored.
- classifier: bytes -> class probabilities: of a run, of several together, of an exported model.
- temperature: one number, fitted on val, that makes confidences honest.
"""
