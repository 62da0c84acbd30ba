"""The leaderboard: entries, what they claim, and the tables made of them."""
