"""Sounds over HTTP: jobs in a database, workers that make them, and the application that takes requests and answers."""
