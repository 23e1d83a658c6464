-- Agents that were registered by the API.
CREATE TABLE agents (
    agent        TEXT PRIMARY KEY,  -- a SPIFFE ID
    registration TEXT NOT NULL      -- all that was put down, JSON
) STRICT, WITHOUT ROWID;
