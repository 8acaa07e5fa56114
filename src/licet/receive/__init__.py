"""The door: takes what Salesforce posts and answers once the queue holds it."""
