"""The book's machinery: from a claim and a notebook to a verdict and a page.

claims, ledger
    The ledger of what the papers claim, the verdict that follows from a measurement, and the ledger's form.
plotting, figures
    Figures for light and dark pages, and the figures of each page.
recordings
    Runs at settings that take too long for every build, kept small in the package.
scales, paths
    The three scales at which every notebook runs; every path of the project.
runs
    Executed notebooks: what a run is, where it is kept, how many are run at once.
site
    From executed notebooks to a static site.
"""
