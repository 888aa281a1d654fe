-- ringonce's database of today: one file, WAL, synchronous=FULL, STRICT tables.
--
-- Instants are TEXT in UTC with a fixed width (2026-11-22T17:01:00.123Z), so that text order is
-- time order. Dates are the customer's local dates. Booleans are 0 or 1. A constraint's name is
-- the sentence that is shown when it fires. Nothing here cascades: the ledger outlives all else.
--
-- Words of a closed list are compared one by one, and queries say the same: for an IN of three or
-- more SQLite builds a small tree each time it runs, which made every write twice as slow.

-- One row per person we owe calls.
CREATE TABLE customers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,          -- never reused
  key TEXT NOT NULL UNIQUE                       -- stable; travels to the provider
    DEFAULT (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' ||
      substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2) || '-' ||
      hex(randomblob(6)))),
  external_id TEXT UNIQUE,                       -- the id in the web application
  name TEXT NOT NULL DEFAULT '',
  email TEXT,
  phone TEXT NOT NULL,                           -- E.164
  phone_validated INTEGER NOT NULL DEFAULT 0
    CONSTRAINT phone_validated_is_0_or_1 CHECK (phone_validated IN (0, 1)),
  phone_validation_error TEXT,
  timezone TEXT NOT NULL,                        -- IANA Area/City
  call_time TEXT                                 -- HH:MM local; NULL = no daily calls
    CONSTRAINT call_time_is_hh_mm
    CHECK (call_time IS NULL OR (call_time GLOB '[0-2][0-9]:[0-5][0-9]' AND call_time < '24:00')),
  call_schedule TEXT,                            -- five-field cron in local time, instead of call_time
  payment_status TEXT NOT NULL DEFAULT 'Pending',
  call_status TEXT NOT NULL DEFAULT 'pending'
    CONSTRAINT call_status_is_known
    CHECK (call_status = 'pending' OR call_status = 'completed' OR call_status = 'failed'
      OR call_status = 'paused' OR call_status = 'disabled'),
  welcome_call_completed INTEGER NOT NULL DEFAULT 0
    CONSTRAINT welcome_call_completed_is_0_or_1 CHECK (welcome_call_completed IN (0, 1)),
  next_call_scheduled_at TEXT,
  last_call_date TEXT                            -- local date of the last daily call that was placed
    CONSTRAINT last_call_date_is_a_date
    CHECK (last_call_date IS NULL OR last_call_date GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]'),
  last_call_id TEXT,                             -- the provider's id of the last placed call
  total_calls_made INTEGER NOT NULL DEFAULT 0,
  consecutive_failures INTEGER NOT NULL DEFAULT 0,
  variables TEXT NOT NULL DEFAULT '{}'
    CONSTRAINT variables_are_a_json_object
    CHECK (json_valid(variables) AND json_type(variables) = 'object'),
  shared_phone INTEGER NOT NULL DEFAULT 0        -- several people answer this number, each gets calls
    CONSTRAINT shared_phone_is_0_or_1 CHECK (shared_phone IN (0, 1)),
  consent_at TEXT,
  consent_source TEXT,
  consent_text TEXT,
  eligible_from TEXT,                            -- missed dates before this instant are not "too late"
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL DEFAULT '',           -- left out: as created
  assistant TEXT,                                -- a name from [assistants]; NULL = by call type
  source_as_of TEXT                              -- as of when the web application told the data
) STRICT;

-- Due scans touch the due, not the million: each index leads with the eligible status.
CREATE INDEX customers_daily_due ON customers
  (payment_status, next_call_scheduled_at, last_call_date, welcome_call_completed)
  WHERE phone_validated = 1 AND call_status NOT IN ('disabled', 'paused')
    AND (call_time IS NOT NULL OR call_schedule IS NOT NULL);
CREATE INDEX customers_welcome_due ON customers (payment_status, created_at)
  WHERE welcome_call_completed = 0 AND phone_validated = 1
    AND call_status NOT IN ('disabled', 'paused');
-- `status` and `check` count customers by these without reading the rows.
CREATE INDEX customers_by_status_and_time ON customers
  (payment_status, call_time, call_schedule);
CREATE INDEX customers_by_email ON customers (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX customers_by_phone ON customers (phone);
-- Each scan looks for pauses without a record in `meta`, and health for assistants that are not configured.
CREATE INDEX customers_paused ON customers (key) WHERE call_status = 'paused';
CREATE INDEX customers_by_assistant ON customers (assistant) WHERE assistant IS NOT NULL;

-- What a person was not eligible for is not missed: remember since when a customer is eligible.
CREATE TRIGGER customers_eligibility_changed
AFTER UPDATE OF payment_status, call_status, phone_validated ON customers
WHEN OLD.payment_status IS NOT NEW.payment_status
  OR (OLD.call_status IN ('paused', 'disabled')) IS NOT (NEW.call_status IN ('paused', 'disabled'))
  OR OLD.phone_validated IS NOT NEW.phone_validated
BEGIN
  UPDATE customers SET eligible_from = max(NEW.updated_at, coalesce(
    (SELECT value FROM meta WHERE key = 'clock_high_water'), NEW.updated_at))
  WHERE id = NEW.id;
END;

-- A pause has a record in `meta`. Another program that takes back the status `paused` ends the pause
-- too, unless it followed a second call.
CREATE TRIGGER customers_resumed_elsewhere
AFTER UPDATE OF call_status ON customers
WHEN OLD.call_status = 'paused' AND NEW.call_status <> 'paused'
BEGIN
  DELETE FROM meta WHERE key = 'pause:customer:' || NEW.key AND value ->> 'who' IS NOT 'follow';
END;

-- Text order is time order only in the one form: an instant that another program writes in another
-- (`2026-11-22 12:01:00-05:00`) is brought to it. What is no instant is refused where one must be,
-- and empty elsewhere.
CREATE TRIGGER customers_instants_as_inserted
AFTER INSERT ON customers
WHEN NEW.created_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.updated_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.next_call_scheduled_at NOT GLOB '????-??-??T??:??:??.???Z'
BEGIN
  UPDATE customers SET
    created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(nullif(updated_at, ''), created_at)),
    next_call_scheduled_at = strftime('%Y-%m-%dT%H:%M:%fZ', next_call_scheduled_at)
  WHERE id = NEW.id;
END;
CREATE TRIGGER customers_instants_as_updated
AFTER UPDATE OF created_at, updated_at, next_call_scheduled_at ON customers
WHEN NEW.created_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.updated_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.next_call_scheduled_at NOT GLOB '????-??-??T??:??:??.???Z'
BEGIN
  UPDATE customers SET
    created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', updated_at),
    next_call_scheduled_at = strftime('%Y-%m-%dT%H:%M:%fZ', next_call_scheduled_at)
  WHERE id = NEW.id;
END;

-- One row per occasion that fell due. No reference to customers: an erased customer's rows stay.
CREATE TABLE call_queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id INTEGER NOT NULL,
  call_type TEXT NOT NULL
    CONSTRAINT call_type_is_known
    CHECK (call_type = 'welcome' OR call_type = 'daily' OR call_type = 'extra'),
  occasion TEXT NOT NULL
    CONSTRAINT occasion_fits_its_type CHECK (
      (call_type = 'welcome' AND occasion = 'welcome')
      OR (call_type = 'daily' AND occasion GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]')
      OR (call_type = 'extra' AND occasion GLOB 'extra:?*')),
  scheduled_for TEXT NOT NULL,                   -- the instant the occasion falls due
  status TEXT NOT NULL DEFAULT 'pending'
    CONSTRAINT status_is_known
    CHECK (status = 'pending' OR status = 'retrying' OR status = 'processing'
      OR status = 'completed' OR status = 'failed' OR status = 'skipped'),
  attempts INTEGER NOT NULL DEFAULT 0,           -- attempts that count against max_attempts
  max_attempts INTEGER NOT NULL DEFAULT 3,
  reason TEXT
    CONSTRAINT reason_is_of_the_closed_list CHECK (reason IS NULL OR reason IN
      ('already_called', 'not_eligible', 'invalid_phone', 'do_not_call', 'paused', 'no_consent',
       'same_phone', 'min_gap', 'cap', 'holiday', 'outside_window', 'too_late', 'customer_gone',
       'cancelled', 'refused', 'attempts_used', 'in_doubt', 'no_line', 'breaker', 'held')),
  error_message TEXT,
  vapi_call_id TEXT,
  not_before TEXT,                               -- look again then; NULL = at scheduled_for
  expires_at TEXT,                               -- the last permitted instant; NULL = none
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL DEFAULT '',
  processed_at TEXT,
  CONSTRAINT skipped_has_a_reason CHECK (status <> 'skipped' OR reason IS NOT NULL)
) STRICT;

-- D1: an occasion is queued once, and a customer has one open item of a type.
CREATE UNIQUE INDEX call_queue_once ON call_queue (customer_id, call_type, occasion);
CREATE UNIQUE INDEX unique_customer_call_active ON call_queue (customer_id, call_type)
  WHERE status = 'pending' OR status = 'retrying' OR status = 'processing';
CREATE INDEX call_queue_due ON call_queue (call_type, coalesce(not_before, scheduled_for), id)
  WHERE status IN ('pending', 'retrying');
CREATE INDEX call_queue_last_chance ON call_queue (expires_at, id)
  WHERE status IN ('pending', 'retrying');
CREATE INDEX call_queue_by_time ON call_queue (scheduled_for);
-- Items whose attempt may be placed while they do not say so: few, and asked about often.
CREATE INDEX call_queue_unsettled ON call_queue (id)
  WHERE status = 'processing' OR (status = 'failed' AND reason = 'in_doubt');

-- As for customers: instants in the one form.
CREATE TRIGGER call_queue_instants_as_inserted
AFTER INSERT ON call_queue
WHEN NEW.scheduled_for NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.not_before NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.expires_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.created_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.updated_at NOT GLOB '????-??-??T??:??:??.???Z'
BEGIN
  UPDATE call_queue SET
    scheduled_for = strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_for),
    not_before = strftime('%Y-%m-%dT%H:%M:%fZ', not_before),
    expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', expires_at),
    created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(nullif(updated_at, ''), created_at))
  WHERE id = NEW.id;
END;
CREATE TRIGGER call_queue_instants_as_updated
AFTER UPDATE OF scheduled_for, not_before, expires_at, created_at, updated_at ON call_queue
WHEN NEW.scheduled_for NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.not_before NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.expires_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.created_at NOT GLOB '????-??-??T??:??:??.???Z'
  OR NEW.updated_at NOT GLOB '????-??-??T??:??:??.???Z'
BEGIN
  UPDATE call_queue SET
    scheduled_for = strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_for),
    not_before = strftime('%Y-%m-%dT%H:%M:%fZ', not_before),
    expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', expires_at),
    created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', updated_at)
  WHERE id = NEW.id;
END;

-- Rows that `queue dedupe` moved out, whole, with the reason. Nothing is deleted.
CREATE TABLE call_queue_duplicates (
  id INTEGER PRIMARY KEY,                        -- the id it had in call_queue
  customer_id INTEGER NOT NULL,
  call_type TEXT NOT NULL,
  occasion TEXT NOT NULL,
  scheduled_for TEXT NOT NULL,
  status TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  reason TEXT,
  error_message TEXT,
  vapi_call_id TEXT,
  not_before TEXT,
  expires_at TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  processed_at TEXT,
  duplicate_of INTEGER NOT NULL,                 -- the row that was kept
  moved_at TEXT NOT NULL,
  moved_because TEXT NOT NULL
) STRICT;

-- The ledger: one row per dialing, written before the POST. Never pruned, never cascaded.
CREATE TABLE call_attempts (
  id TEXT NOT NULL PRIMARY KEY,                  -- UUIDv7; with its letter the tag on the wire
  seq INTEGER NOT NULL UNIQUE,                   -- increasing per installation
  queue_id INTEGER,
  customer_id INTEGER,                           -- NULL: the file does not know the customer (any more)
  customer_key TEXT NOT NULL,
  call_type TEXT NOT NULL
    CHECK (call_type = 'welcome' OR call_type = 'daily' OR call_type = 'extra'),
  occasion TEXT NOT NULL,
  attempt_no INTEGER NOT NULL,
  phone TEXT,                                    -- E.164 as dialed; NULL after erasure
  phone_key TEXT NOT NULL,                       -- HMAC of the number; stays after erasure
  state TEXT NOT NULL
    CONSTRAINT state_is_known
    CHECK (state = 'dialing' OR state = 'in_doubt' OR state = 'placed' OR state = 'ended'
      OR state = 'not_placed'),
  vapi_call_id TEXT UNIQUE,
  ended_reason TEXT,                             -- the provider's text, verbatim
  disposition TEXT CHECK (disposition IS NULL OR disposition = 'answered'
    OR disposition = 'voicemail' OR disposition = 'no_answer' OR disposition = 'busy'
    OR disposition = 'bad_number' OR disposition = 'never_dialed' OR disposition = 'failed'
    OR disposition = 'unknown'),
  started_at TEXT,
  ended_at TEXT,
  duration_seconds REAL,
  cost REAL,                                     -- US dollars
  error_message TEXT,
  created_at TEXT NOT NULL,                      -- the instant of the intent
  updated_at TEXT NOT NULL,
  phone_number_id TEXT,                          -- our number that called
  provider_status TEXT,                          -- the provider's last word before `ended`
  next_poll_at TEXT,
  clean_reads INTEGER NOT NULL DEFAULT 0,        -- complete listings in which a doubt was absent
  absent_since TEXT,                             -- the first of them, wall clock
  absent_since_monotonic_ms INTEGER,             -- and on the clock that never jumps
  absent_boot_id TEXT,                           -- the boot that clock counts from
  transcript TEXT,
  summary TEXT,
  CONSTRAINT ended_has_a_disposition CHECK ((state = 'ended') = (disposition IS NOT NULL)),
  CONSTRAINT not_placed_has_no_provider_call CHECK (state <> 'not_placed' OR vapi_call_id IS NULL)
) STRICT;

CREATE UNIQUE INDEX call_attempts_once ON call_attempts
  (customer_id, call_type, occasion, attempt_no);
-- D1: at most one attempt of an occasion is unexplained at any time.
CREATE UNIQUE INDEX call_attempts_one_live ON call_attempts (customer_id, call_type, occasion)
  WHERE state = 'dialing' OR state = 'in_doubt' OR state = 'placed';
CREATE INDEX call_attempts_by_phone ON call_attempts (phone_key, created_at);
CREATE INDEX call_attempts_by_customer ON call_attempts (customer_id, created_at);
CREATE INDEX call_attempts_open ON call_attempts (state, created_at)
  WHERE state = 'dialing' OR state = 'in_doubt' OR state = 'placed';
-- Closed by a person, and still asked about.
CREATE INDEX call_attempts_closed ON call_attempts (next_poll_at)
  WHERE state = 'ended' AND next_poll_at IS NOT NULL;
CREATE INDEX call_attempts_not_placed ON call_attempts (created_at) WHERE state = 'not_placed';
CREATE INDEX call_attempts_by_time ON call_attempts (created_at);
CREATE INDEX call_attempts_by_item ON call_attempts (queue_id);

-- The result of a call: one row per attempt. Deleted after `results.keep_days`; the
-- ledger keeps that the call was made.
CREATE TABLE call_results (
  attempt_id TEXT NOT NULL PRIMARY KEY,
  summary TEXT,
  transcript TEXT,
  structured TEXT NOT NULL DEFAULT '{}'          -- name of the output to its value
    CONSTRAINT structured_is_a_json_object
    CHECK (json_valid(structured) AND json_type(structured) = 'object'),
  success_evaluation TEXT,
  source TEXT NOT NULL                           -- who reported the latest change
    CONSTRAINT source_is_known CHECK (source = 'poll' OR source = 'webhook'),
  received_at TEXT NOT NULL,                     -- when the first part arrived
  updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX call_results_by_age ON call_results (received_at);

-- The order of changes: an attempt that changes, or whose result does, gets the next number. A
-- reader that continues after the last number it saw misses no attempt and reads no unchanged one
-- again. AUTOINCREMENT never gives a number twice, also after its row has moved on.
CREATE TABLE attempt_changes (
  change INTEGER PRIMARY KEY AUTOINCREMENT,
  attempt_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE TRIGGER attempt_changes_as_inserted AFTER INSERT ON call_attempts
BEGIN
  DELETE FROM attempt_changes WHERE attempt_id = NEW.id;
  INSERT INTO attempt_changes (attempt_id) VALUES (NEW.id);
END;
-- Not `next_poll_at` and its like: they are ours, and change with each poll.
CREATE TRIGGER attempt_changes_as_updated
AFTER UPDATE OF queue_id, customer_id, phone, state, vapi_call_id, ended_reason, disposition,
  started_at, ended_at, duration_seconds, cost, error_message, clean_reads ON call_attempts
BEGIN
  DELETE FROM attempt_changes WHERE attempt_id = NEW.id;
  INSERT INTO attempt_changes (attempt_id) VALUES (NEW.id);
END;
CREATE TRIGGER result_changes_as_inserted AFTER INSERT ON call_results
BEGIN
  DELETE FROM attempt_changes WHERE attempt_id = NEW.attempt_id;
  INSERT INTO attempt_changes (attempt_id) VALUES (NEW.attempt_id);
END;
CREATE TRIGGER result_changes_as_updated AFTER UPDATE ON call_results
BEGIN
  DELETE FROM attempt_changes WHERE attempt_id = NEW.attempt_id;
  INSERT INTO attempt_changes (attempt_id) VALUES (NEW.attempt_id);
END;

-- A second provider call for one attempt: somebody's phone rang twice. `audit` exits 1.
CREATE TABLE second_calls (
  vapi_call_id TEXT NOT NULL PRIMARY KEY,
  attempt_id TEXT NOT NULL,
  customer_key TEXT NOT NULL,
  seen_at TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

-- Calls on the provider's account that this ledger did not make: another installation's, or without
-- tags. An outbound one by an assistant of ours blocks the welcome call of each number that it may
-- have rung, and the daily call of its local date, until a person ignores it. The others count for
-- the gap between calls. The number is compared by `ending`, then parsed: see `phones::told`.
CREATE TABLE calls_elsewhere (
  vapi_call_id TEXT NOT NULL PRIMARY KEY,
  told TEXT,                                     -- the number as the provider tells it; NULL after erasure
  phone_key TEXT,                                -- HMAC of the number that it names; stays after erasure
  ending TEXT NOT NULL                           -- its last 7 digits; any: nobody's phone is excluded;
    CONSTRAINT ending_is_known                   -- erased: only the key tells
    CHECK (ending = 'any' OR ending = 'erased' OR ending GLOB '[0-9][0-9][0-9][0-9][0-9][0-9][0-9]'),
  kind TEXT NOT NULL
    CONSTRAINT kind_is_known CHECK (kind = 'outbound' OR kind = 'inbound'),
  assistant TEXT,                                -- the provider's id of who spoke, or of the squad
  installation_id TEXT,                          -- of the other database, where the call tells one
  occasion TEXT,                                 -- the daily date that the other database called for
  created_at TEXT NOT NULL,                      -- when the provider took the call
  blocks INTEGER NOT NULL
    CONSTRAINT blocks_is_0_or_1 CHECK (blocks IN (0, 1)),
  found_at TEXT NOT NULL,
  ignored_at TEXT,                               -- a person released it: `history ignore`
  ignored_by TEXT,
  ignored_because TEXT
) STRICT;
CREATE INDEX calls_elsewhere_by_number ON calls_elsewhere (ending, created_at)
  WHERE ignored_at IS NULL;

-- Placed calls that complete listings of the provider lack, although they should show them.
CREATE TABLE unlisted_calls (
  attempt_id TEXT NOT NULL PRIMARY KEY,
  first_missed_at TEXT NOT NULL,
  last_missed_at TEXT NOT NULL,
  listings INTEGER NOT NULL                      -- how many of them
) STRICT;

-- Calls of a listing that a start could not finish. Deleted when the listing is complete.
CREATE TABLE kept_list (
  vapi_call_id TEXT NOT NULL PRIMARY KEY,
  call TEXT NOT NULL                             -- the provider's record as JSON, without words
) STRICT;

-- What the webhook was told, once each; the follow step applies it.
CREATE TABLE webhook_events (
  id INTEGER PRIMARY KEY,
  vapi_call_id TEXT NOT NULL,
  kind TEXT NOT NULL,                            -- status-update, end-of-call-report, …
  status TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL,
  received_at TEXT NOT NULL,
  applied_at TEXT,
  CONSTRAINT an_event_is_stored_once UNIQUE (vapi_call_id, kind, status)
) STRICT;
CREATE INDEX webhook_events_open ON webhook_events (id) WHERE applied_at IS NULL;

-- The outbox: events for the application, written in the transaction of the change. A
-- delivered one is kept for 30 days, and one that was given up until a person replays it.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,         -- never reused: the order of writing
  id TEXT NOT NULL UNIQUE,                       -- evt_…; stays the same at every try
  type TEXT NOT NULL,                            -- call.placed, call.ended, …
  customer_id INTEGER,
  attempt_id TEXT,
  item_id INTEGER,
  data TEXT NOT NULL                             -- no phone number, no name
    CONSTRAINT data_is_a_json_object CHECK (json_valid(data) AND json_type(data) = 'object'),
  created_at TEXT NOT NULL,
  queued_at TEXT NOT NULL,                       -- the tries count from here: written or replayed
  tries INTEGER NOT NULL DEFAULT 0,
  next_at TEXT,                                  -- the next try; NULL: delivered or given up
  last_error TEXT,
  delivered_at TEXT,
  given_up_at TEXT,
  CONSTRAINT an_event_waits_or_is_over
    CHECK ((next_at IS NULL) = (delivered_at IS NOT NULL OR given_up_at IS NOT NULL))
) STRICT;
CREATE INDEX events_waiting ON events (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX events_given_up ON events (given_up_at) WHERE given_up_at IS NOT NULL;
CREATE INDEX events_delivered ON events (delivered_at) WHERE delivered_at IS NOT NULL;
CREATE INDEX events_by_customer ON events (customer_id);
CREATE INDEX events_by_item ON events (item_id) WHERE item_id IS NOT NULL;
CREATE INDEX events_by_attempt ON events (attempt_id) WHERE attempt_id IS NOT NULL;

CREATE TABLE do_not_call (
  phone TEXT NOT NULL PRIMARY KEY,               -- E.164
  reason TEXT NOT NULL,
  source TEXT NOT NULL,                          -- who or what added it
  created_at TEXT NOT NULL
) STRICT;

-- The gate compares numbers letter by letter: another spelling would protect nobody.
CREATE TRIGGER do_not_call_phone_as_inserted
BEFORE INSERT ON do_not_call
WHEN NEW.phone NOT GLOB '+[1-9]*' OR substr(NEW.phone, 2) GLOB '*[^0-9]*'
BEGIN SELECT RAISE(ABORT, 'a do-not-call number is written as + and digits'); END;
CREATE TRIGGER do_not_call_phone_as_updated
BEFORE UPDATE OF phone ON do_not_call
WHEN NEW.phone NOT GLOB '+[1-9]*' OR substr(NEW.phone, 2) GLOB '*[^0-9]*'
BEGIN SELECT RAISE(ABORT, 'a do-not-call number is written as + and digits'); END;

-- Dates without calls: a country's ('US', 'GB', …), or everybody's ('*').
CREATE TABLE holidays (
  country TEXT NOT NULL,
  date TEXT NOT NULL
    CONSTRAINT holiday_is_a_date CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]'),
  name TEXT NOT NULL,
  PRIMARY KEY (country, date)
) STRICT;

-- Who did what to what, and why. Append-only.
CREATE TABLE journal (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  who TEXT NOT NULL,                             -- the command or thread that acted
  what TEXT NOT NULL,                            -- the kind of change
  subject TEXT NOT NULL,                         -- customer:1, item:2, attempt:…, file
  old TEXT,
  new TEXT,
  why TEXT,
  build TEXT NOT NULL
) STRICT;
CREATE INDEX journal_by_subject ON journal (subject, id);
CREATE TRIGGER journal_refuses_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_refuses_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- Facts of journal entries that other code reads. The texts of the journal are for people.
CREATE TABLE journal_facts (
  journal_id INTEGER PRIMARY KEY,
  facts TEXT NOT NULL CHECK (json_valid(facts))  -- no personal data: the journal is never erased
) STRICT;
CREATE TRIGGER journal_facts_refuse_update BEFORE UPDATE ON journal_facts
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_facts_refuse_delete BEFORE DELETE ON journal_facts
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- The ledger is permanent.
CREATE TRIGGER call_attempts_refuse_delete BEFORE DELETE ON call_attempts
BEGIN SELECT RAISE(ABORT, 'the ledger of attempts is permanent'); END;

-- Rows that cannot be read, because another program wrote them. Nobody whom such a row concerns is
-- called until the row is corrected.
CREATE TABLE quarantine (
  place TEXT NOT NULL,                           -- the table
  row TEXT NOT NULL,                             -- its id, seq, call id, rowid or key
  customer_id INTEGER,                           -- NULL: not known, or not one customer
  why TEXT NOT NULL,                             -- the column and its fault; no personal data
  PRIMARY KEY (place, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX quarantine_by_customer ON quarantine (customer_id);

-- Named tokens for the page and the API, beside the one token of the environment.
CREATE TABLE tokens (
  name TEXT NOT NULL PRIMARY KEY,                -- the journal says it
  role TEXT NOT NULL
    CONSTRAINT role_is_known CHECK (role = 'viewer' OR role = 'support' OR role = 'operator'),
  hash TEXT NOT NULL UNIQUE,                     -- SHA-256 of the token, which is random
  created_at TEXT NOT NULL,
  revoked_at TEXT
) STRICT;

-- Installation, armed identity, high-water marks, pauses, holds, why the last start stayed shut.
CREATE TABLE meta (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
