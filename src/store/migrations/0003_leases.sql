-- Leases. Times are nanoseconds since 1970 in UTC. What is sealed can be read with <state>/lease.key alone.
CREATE TABLE leases (
    id     TEXT    PRIMARY KEY,  -- a ULID: sorts by the time of asking
    task   TEXT    NOT NULL,
    entry  TEXT    NOT NULL,     -- its [[leases]] entry
    state  TEXT    NOT NULL,
    since  INTEGER NOT NULL,     -- when it came into that state
    lease  TEXT    NOT NULL,     -- all that may be seen of it, JSON
    sealed BLOB                  -- the credential and what takes it back
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_state ON leases (state, since);

-- One secret of a provider's own for each [[leases]] entry, such as a refresh token that changes with each use.
CREATE TABLE provider_secrets (
    entry  TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
