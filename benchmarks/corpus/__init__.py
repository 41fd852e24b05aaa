"""Real bodies of real senders, read by the sources: what each says, in how long, and what mutilated copies of it do."""
