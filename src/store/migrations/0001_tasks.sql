-- Tasks. Times are nanoseconds since 1970 in UTC.
CREATE TABLE tasks (
    id        TEXT    PRIMARY KEY,  -- a ULID: sorts by the time of opening
    parent    TEXT,                 -- the task that it was delegated from
    agent     TEXT    NOT NULL,     -- a SPIFFE ID
    opened    INTEGER NOT NULL,
    deadline  INTEGER NOT NULL,
    task      TEXT    NOT NULL,     -- all of it, JSON
    ended_why TEXT,                 -- both or neither
    ended_at  INTEGER,
    CHECK ((ended_why IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL;

-- Agents that may do nothing until an operator lets them.
CREATE TABLE quarantine (
    agent TEXT    PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
