"""Of which articles should somebody be told? Severity, abstention, justification, and what a threshold costs."""
