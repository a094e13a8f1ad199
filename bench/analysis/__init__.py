"""From records to verdicts: what a sweep's runs say, and how sure that is. Never imports torch or MLflow.

How verdicts are made, with formulas, sources and simulated error rates: VERDICTS.md beside this file.

Records read
    frame, replicates, naming       by point and seed; what is drawn anew; words and numbers
    planned, registered             which points a sweep has at all; what was promised before the runs
    selection, choosing, length     which candidate val chooses; what ways of choosing find; how long runs trained
    artifacts, predictions          what runs left beside records; what they said of each image
Judged
    claims, contrast, statement     a claim judged; as numbers; in words
    subject, settings, looks        what a claim is about, at which settings; earlier looks and their price
    stats, resampling, outcome, rates, rounding   tests and intervals; without normality; what a test says; shares
    best                            the best of several cells, and what is not told apart from it
    images, whole_images, across    other test images; whole numbers of images; many data sets
    fairness, power                 what else differs between the sides; what n seeds can find
"""
