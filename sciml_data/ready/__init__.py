"""The analysis-ready form of a dataset: convert native files to NetCDF, open them, cut patches."""
