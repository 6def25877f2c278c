"""From executed notebooks to a static site.

evidence
    What the chapters' runs say about each claim of the ledger.
words
    Text safe inside MyST-Markdown, and numbers as a reader reads them.
cards
    What every page says about itself: paper, claims, how it was run, how to run and cite it.
folding
    One badge for a claim in a section of a page.
scorecard, errata
    The pages of results, and the scorecard as files.
evidenced
    Prose that names its evidence, each name a link with the verdict as it is now.
explorers
    The pages to explore: live figures in plain JavaScript, still ones where scripts are off.
drawings
    Drawings and their numbers as files of the site, once each.
rooms
    The API reference as one page for each of its sections.
start
    The start of the book and the opening pages of its chapters: pictures, and sentences that the pages computed.
crate
    The evidence for machines: runs, parameters, checksums and verdicts.
stage
    The book as Sphinx will read it, in a fresh folder.
build
    Runs, stage, Sphinx, and the swap that puts the new site in place.
"""
