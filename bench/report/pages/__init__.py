"""The site: a page a sweep, and the index.

site, page          all of it written; one sweep's page
facts, runs, single_run     what a page says of its sweep, of its runs, of one of them
drawings, forest    its figures; a verdict as a small drawing
readme, crate       results/README.md and sweeps/README.md; RO-Crate metadata
templates/, vendor/     HTML, style and script; published scripts, unchanged
"""
