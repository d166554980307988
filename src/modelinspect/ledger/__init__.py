"""Put every byte of an artifact into one row of a ledger, and roll the rows up."""
