// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The schema `keyvane` in numbered steps.
// Flows through: each step once per database, in one transaction with its number, at `migrate()`; then the functions, made anew.
// Owner: PostgreSQL; every instance may run them at start, an advisory lock lets one at a time.
// Must hold: a step that has been released never changes; a database that is ahead of this binary is refused, not touched.

package enum Migrations {
    /// Step n is `all[n - 1]`. A new text of a function needs a step too, if only an empty one: without one nothing is run.
    package static let all = [tables, "", history, versions, tokenLog]
    package static var latest: Int { all.count }
    /// Runs with the last step, in its transaction.
    static let functions = MutationFunction.sql + RemovalFunction.sql + TokenEventFunction.sql

    private static let tables = """
        CREATE TABLE keyvane.setting (
            name text PRIMARY KEY,
            value text NOT NULL
        );

        CREATE TABLE keyvane.workspace (
            id uuid PRIMARY KEY,
            slug text COLLATE "C" NOT NULL UNIQUE,
            name text NOT NULL,
            description text NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        );

        CREATE TABLE keyvane.project (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL REFERENCES keyvane.workspace,
            slug text COLLATE "C" NOT NULL,
            name text NOT NULL,
            description text NOT NULL,
            -- The data key under a master key, and which one, so that a start can tell whether it has them all.
            wrapped_key text NOT NULL,
            master_key_id text NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            UNIQUE (workspace_id, slug)
        );
        CREATE INDEX project_by_master_key ON keyvane.project (master_key_id);

        -- The row is the lock and the counter of everything that happens in the environment: it changes with every mutation, so it leaves room
        -- in its page for the next version of itself and no changing column is indexed.
        CREATE TABLE keyvane.environment (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL REFERENCES keyvane.workspace,
            project_id uuid NOT NULL REFERENCES keyvane.project,
            slug text COLLATE "C" NOT NULL,
            name text NOT NULL,
            description text NOT NULL,
            revision bigint NOT NULL DEFAULT 0,
            mark bigint NOT NULL,
            -- The mark of revision 0, which has no change row.
            origin_mark bigint NOT NULL,
            -- Changes up to this revision have been trimmed from the log.
            trimmed_through bigint NOT NULL DEFAULT 0,
            entry_count integer NOT NULL DEFAULT 0,
            entry_bytes bigint NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            UNIQUE (project_id, slug)
        ) WITH (fillfactor = 50);

        -- No foreign keys from here on: the environment's row is locked by every writer of these tables, and its deletion empties them.
        -- A deleted entry keeps its row, without a value, so that its versions go on rising when it is made again.
        CREATE TABLE keyvane.entry (
            environment_id uuid NOT NULL,
            name text COLLATE "C" NOT NULL,
            kind text NOT NULL CHECK (kind IN ('variable', 'secret')),
            value text,
            -- Bytes of name and plaintext, for the environment's limit.
            size integer NOT NULL,
            version bigint NOT NULL,
            revision bigint NOT NULL,
            note text,
            enabled boolean NOT NULL,
            updated_at timestamptz NOT NULL,
            updated_by text NOT NULL,
            PRIMARY KEY (environment_id, name)
        ) WITH (fillfactor = 80);

        -- Append-only: history and feed at once.
        CREATE TABLE keyvane.change (
            environment_id uuid NOT NULL,
            revision bigint NOT NULL,
            first bigint NOT NULL,
            last bigint NOT NULL,
            mark bigint NOT NULL,
            name text COLLATE "C" NOT NULL,
            kind text NOT NULL,
            action text NOT NULL CHECK (action IN ('create', 'set', 'delete', 'disable', 'enable')),
            -- The entry is in snapshots after this: a set to watchers, a delete otherwise.
            visible boolean NOT NULL,
            value text,
            version bigint NOT NULL,
            note text,
            enabled boolean NOT NULL,
            at timestamptz NOT NULL,
            actor text NOT NULL,
            PRIMARY KEY (environment_id, revision)
        );

        -- One row a committed mutation. Its id is the caller's name for the call: nothing is carried out twice.
        CREATE TABLE keyvane.audit (
            id uuid PRIMARY KEY,
            at timestamptz NOT NULL,
            actor text NOT NULL,
            action text NOT NULL,
            workspace_id uuid,
            environment_id uuid,
            target text NOT NULL,
            first bigint,
            last bigint,
            request_id text
        );
        CREATE INDEX audit_by_workspace ON keyvane.audit (workspace_id, at);

        -- Transactions that watchers may not have heard of yet.
        CREATE TABLE keyvane.outbox (
            environment_id uuid NOT NULL,
            first bigint NOT NULL,
            last bigint NOT NULL,
            created_at timestamptz NOT NULL,
            claimed_until timestamptz,
            PRIMARY KEY (environment_id, first)
        );
        CREATE INDEX outbox_by_age ON keyvane.outbox (created_at);

        CREATE TABLE keyvane.token (
            id text COLLATE "C" PRIMARY KEY,
            hash text NOT NULL,
            description text NOT NULL,
            grants jsonb NOT NULL,
            is_root boolean NOT NULL,
            expires_at timestamptz,
            created_at timestamptz NOT NULL,
            created_by text NOT NULL,
            last_used_at timestamptz,
            revoked_at timestamptz
        );
        """

    /// Step 2 was the mutation function, which is now made anew with each newer schema.
    private static let history = """
        -- `workspace/project/environment`: slugs don't change.
        ALTER TABLE keyvane.environment ADD COLUMN path text COLLATE "C";
        UPDATE keyvane.environment e SET path = w.slug || '/' || p.slug || '/' || e.slug
        FROM keyvane.project p JOIN keyvane.workspace w ON w.id = p.workspace_id WHERE p.id = e.project_id;
        ALTER TABLE keyvane.environment ALTER COLUMN path SET NOT NULL;
        CREATE UNIQUE INDEX environment_by_path ON keyvane.environment (path);

        -- The versions of an entry, and an environment's state at a revision.
        CREATE INDEX change_by_name ON keyvane.change (environment_id, name, revision);

        -- Where it happened, as slugs and not as a reference: an audit outlives what it tells of. '*' is no place in particular.
        ALTER TABLE keyvane.audit ADD COLUMN place text COLLATE "C";
        UPDATE keyvane.audit a SET place = coalesce((SELECT e.path FROM keyvane.environment e WHERE e.id = a.environment_id),
            (SELECT w.slug FROM keyvane.workspace w WHERE w.id = a.workspace_id), '*');
        ALTER TABLE keyvane.audit ALTER COLUMN place SET NOT NULL;
        DROP INDEX keyvane.audit_by_workspace;
        ALTER TABLE keyvane.audit DROP COLUMN workspace_id;
        CREATE INDEX audit_by_workspace ON keyvane.audit (split_part(place, '/', 1), at, id);
        CREATE INDEX audit_by_age ON keyvane.audit (at);

        -- One row per Idempotency-Key and token: what was asked for, and what is needed to answer the same again.
        CREATE TABLE keyvane.receipt (
            token text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            -- A digest of the request.
            fingerprint text NOT NULL,
            created_at timestamptz NOT NULL,
            -- A mutation of entries: its changes are in the log. Without any, `last` is the head it changed nothing at.
            environment_id uuid,
            first bigint,
            last bigint,
            -- Anything else: the columns of the answered record.
            record text[],
            PRIMARY KEY (token, key)
        );
        CREATE INDEX receipt_by_age ON keyvane.receipt (created_at);

        DROP FUNCTION IF EXISTS keyvane.mutate(uuid, boolean, uuid, text, text, text, text, text, bigint[], text[], text[], text[], text[],
            integer[], text[], bigint[], integer, bigint);
        DROP TYPE IF EXISTS keyvane.mutation_row;
        """

    /// Tags of the hierarchy's and the tokens' records. The functions are made anew after it.
    private static let versions = """
        ALTER TABLE keyvane.workspace ADD COLUMN version bigint NOT NULL DEFAULT 1;
        ALTER TABLE keyvane.project ADD COLUMN version bigint NOT NULL DEFAULT 1;
        ALTER TABLE keyvane.environment ADD COLUMN version bigint NOT NULL DEFAULT 1;
        ALTER TABLE keyvane.token ADD COLUMN version bigint NOT NULL DEFAULT 1;

        DROP TYPE IF EXISTS keyvane.mutation_row CASCADE;
        """
    /// The log of what became of tokens. Number 0 is where a history begins, so that every reader has a row to start from.
    private static let tokenLog = """
        -- One row: the number of the last event. Locked until its transaction ends, so that numbers have no gaps and rise as commits do.
        CREATE TABLE keyvane.token_log (
            is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
            last bigint NOT NULL
        );
        INSERT INTO keyvane.token_log (last) VALUES (0);

        -- Append-only; the oldest rows go in time, the newest stays.
        CREATE TABLE keyvane.token_event (
            sequence bigint PRIMARY KEY,
            -- Tells this history from one with the same numbers: the database may be restored from a copy.
            mark bigint NOT NULL,
            token_id text COLLATE "C" NOT NULL,
            kind text NOT NULL CHECK (kind IN ('origin', 'changed', 'revoked')),
            at timestamptz NOT NULL
        );
        INSERT INTO keyvane.token_event VALUES (0, floor(random() * 4294967296)::bigint, '', 'origin', now());

        -- The last event of the token, 0 where it has had none.
        ALTER TABLE keyvane.token ADD COLUMN event bigint NOT NULL DEFAULT 0;

        DROP TYPE IF EXISTS keyvane.mutation_row CASCADE;
        """
}
