"""Alerts for articles: severity, abstention, justification, and the false alarms of each threshold."""
