"""Statistical models of time series, and trees over lags, as parts of one graph."""
