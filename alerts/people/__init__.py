"""What people do with alerts, who is on call, and how long it goes on until somebody says that it is theirs."""
