"""The leaderboard: entries, how sure their ranks are, tables, plots and the page."""
