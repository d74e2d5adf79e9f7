-- A leg is the recipients of one message that go one way: they are tried together.  A
-- lane is such a way, an agent and a destination.  A turn says when a leg comes, and is
-- given so that nobody's many messages hold up another's; see `queries/enqueueing.py`.
-- Times are seconds since 1970 by the queue's own clock.

CREATE TABLE queue_numbers (
    message  INTEGER NOT NULL,        -- the highest number that one got
    leg      INTEGER NOT NULL,
    lane     INTEGER NOT NULL,
    turn     INTEGER NOT NULL,        -- the highest that has come
    seen     REAL NOT NULL            -- the latest time that was told
);
INSERT INTO queue_numbers VALUES (0, 0, 0, 0, 0);

CREATE TABLE queue_messages (
    message  INTEGER PRIMARY KEY,
    id       TEXT NOT NULL,
    sender   TEXT NOT NULL,
    flow     TEXT NOT NULL,
    arrived  REAL NOT NULL,
    size     INTEGER NOT NULL,
    undone   INTEGER NOT NULL,        -- recipients without a final outcome
    held     TEXT NOT NULL,           -- why; empty if it isn't
    facts    TEXT NOT NULL
);
CREATE INDEX queue_ids ON queue_messages (id);

-- What was enqueued, so that a repeat adds nothing; kept longer than the message.
CREATE TABLE queue_keys (
    key   TEXT PRIMARY KEY,
    id    TEXT NOT NULL,
    made  REAL NOT NULL
) WITHOUT ROWID;

-- The octets: in one piece where there are few, else in pieces of equal size.  A piece
-- has its message's number times 2 to the twentieth, plus its place.
CREATE TABLE queue_contents (
    piece   INTEGER PRIMARY KEY,
    octets  BLOB NOT NULL
);

-- Contents to be swept away: of messages that have gone, and of those that are arriving.
CREATE TABLE queue_leftovers (
    message  INTEGER PRIMARY KEY,
    holder   TEXT NOT NULL            -- the node at which it arrives; empty if it has gone
);

CREATE TABLE queue_recipients (
    leg      INTEGER NOT NULL,
    place    INTEGER NOT NULL,        -- in the envelope
    done     INTEGER NOT NULL,        -- 0: not yet; 1: delivered; 2: failed
    address  TEXT NOT NULL,
    domain   TEXT NOT NULL,
    told     INTEGER NOT NULL,        -- whether the sender has heard that it is delayed
    status   TEXT NOT NULL,           -- of the last attempt
    detail   TEXT NOT NULL,
    facts    TEXT NOT NULL,
    PRIMARY KEY (leg, place)
) WITHOUT ROWID;

CREATE TABLE queue_legs (
    leg       INTEGER PRIMARY KEY,
    message   INTEGER NOT NULL,
    lane      INTEGER NOT NULL,
    flow      TEXT NOT NULL,
    priority  INTEGER NOT NULL,
    state     INTEGER NOT NULL,       -- 0 pending, 1 deferred, 2 held, 3 in flight,
                                      -- 4 undeliverable, 5 done
    turn      INTEGER NOT NULL,
    due       REAL NOT NULL,          -- of the next attempt, where it is deferred
    since     REAL NOT NULL,          -- when its life began
    attempts  INTEGER NOT NULL,
    doubtful  INTEGER NOT NULL,       -- attempts that a crash cut short
    holder    TEXT NOT NULL           -- the node that tries it, where it is in flight
);
CREATE INDEX queue_pending ON queue_legs (lane, turn) WHERE state = 0;
CREATE INDEX queue_deferred ON queue_legs (due) WHERE state = 1;
CREATE INDEX queue_inflight ON queue_legs (holder) WHERE state = 3;
CREATE INDEX queue_legs_of ON queue_legs (message);

CREATE TABLE queue_lanes (
    lane         INTEGER PRIMARY KEY,
    agent        TEXT NOT NULL,
    destination  TEXT NOT NULL,
    first        INTEGER,             -- the lowest turn of what is pending, if it is open
    opens        REAL                 -- when it is to be tried again, if it is closed
);
CREATE UNIQUE INDEX queue_lane_names ON queue_lanes (agent, destination);
CREATE INDEX queue_lane_turns ON queue_lanes (first) WHERE first IS NOT NULL;
CREATE INDEX queue_lane_openings ON queue_lanes (opens) WHERE opens IS NOT NULL;

-- The last turn that somebody's mail got.
CREATE TABLE queue_flows (
    flow  TEXT PRIMARY KEY,
    turn  INTEGER NOT NULL
) WITHOUT ROWID;

-- Who works at the queue; each counts on while it lives.
CREATE TABLE queue_nodes (
    node   TEXT PRIMARY KEY,
    beats  INTEGER NOT NULL
) WITHOUT ROWID;
