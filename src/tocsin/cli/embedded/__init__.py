"""The servers and child processes that `tocsin up` owns: PostgreSQL, Redis, and our own web, worker and beat."""
