"""Reports: leaderboards as tables on screen, Markdown and CSV."""
