"""Reports: leaderboards, studies and predictions as tables, files and figures. Nothing is computed here."""
