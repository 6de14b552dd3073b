"""What several tests share: fake evaluations, filled ledgers, servers, and programs that are killed on purpose."""
