"""What a user looks at: plots (arrays in, figures out) and a self-contained HTML report.

>>> from hepflows.report.html import Picture, Report
>>> from hepflows.report.plots import comparison, image_grid, losses, roc
"""
