"""A strict wire emulator of Azure Cosmos DB for NoSQL on SQLite; see README.md."""
