"""Pictures of what a run learned and where it fails; one file a kind of picture.

- subject: the run that is explained: its images, scores and the examples that the pictures share.
- picture: what a kind hands back, and how images and layers are drawn.
- trace: what every layer of a network does with an image: output, FLOPs; fields: how much of it each value can see.
- drawing: which kinds there are, and drawing them into a folder with one page (page).
- Scores: confusion, calibration, precision_recall, mistakes, seeds (what all of them get wrong), label_errors.
- What a network sees: saliency, activations, filters, templates (first dense layers), preferred (a class's best input),
  exciting (patches that excite a unit), architecture, embedding, neighbours.
- Taught with: convolution (one filter on an image), misleading (pixel distance), regions (decisions in the plane).

A kind has `draw(subject) -> list[Picture]`, and raises `NotFor` with the reason where a run has nothing to show.
"""
