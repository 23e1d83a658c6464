-- Holds. Times are nanoseconds since 1970 in UTC. What is sealed can be read with <state>/lease.key alone.
CREATE TABLE holds (
    id    TEXT    PRIMARY KEY,  -- a ULID: sorts by the time of asking
    task  TEXT    NOT NULL,
    state TEXT    NOT NULL,
    since INTEGER NOT NULL,     -- when it came into that state
    hold  TEXT    NOT NULL,     -- who is asked for what, and what they said, JSON
    card  BLOB    NOT NULL      -- what people are shown of the call, sealed; its body only while it waits
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_state ON holds (state, since);
