// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One mutation as one call: it locks the environment's row, takes the next revisions, and writes entries, changes, audit and outbox.
///
/// A refusal is a row, not an error: an error would roll back the other mutations of its batch. So all is looked at before anything is
/// written. The environment's lock orders everything; whatever is read after it is what the last committed writer left.
enum MutationFunction {
    static let sql = """
        CREATE TYPE keyvane.mutation_row AS (
            status text,          -- ok, or why not
            current bigint,       -- of a failed precondition
            revision bigint,      -- the environment's, after the mutation
            mark bigint,          -- the environment's, before the mutation: the changes carry the new one
            name text,
            kind text,
            action text,          -- null: this change changed nothing
            visible boolean,
            version bigint,
            entry_revision bigint,
            entry_mark bigint,
            note text,
            enabled boolean,
            updated_at bigint,    -- milliseconds
            updated_by text,
            value text            -- only where the caller may not know it: of a mutation that had been committed before
        );

        CREATE FUNCTION keyvane.mutate(
            p_id uuid, p_retry boolean, p_environment uuid, p_actor text, p_action text, p_target text, p_request text,
            p_condition text, p_expected bigint[], p_base bigint,
            p_names text[], p_kinds text[], p_ops text[], p_values text[], p_sizes integer[], p_notes text[], p_enabled boolean[],
            p_versions bigint[], p_max_entries integer, p_max_bytes bigint, p_token text, p_key text, p_fingerprint text
        ) RETURNS SETOF keyvane.mutation_row LANGUAGE plpgsql AS $$
        #variable_conflict use_column
        DECLARE
            env keyvane.environment;
            checked record;
            now_ms timestamptz;
            version_now bigint;
        BEGIN
            SELECT * INTO env FROM keyvane.environment WHERE id = p_environment FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                RETURN QUERY SELECT \(refusal("'not_found'"));
                RETURN;
            END IF;

            -- Sent again after a lost connection: the first sending may have been committed, or may be running still and fail on our audit row.
            IF p_retry THEN
                RETURN QUERY
                    SELECT 'ok', NULL::bigint, env.revision, env.mark, c.name, c.kind, c.action, c.visible, c.version, c.revision, c.mark,
                        c.note, c.enabled, \(milliseconds("c.at")), c.actor, c.value
                    FROM keyvane.audit a JOIN keyvane.change c ON c.environment_id = a.environment_id AND c.revision BETWEEN a.first AND a.last
                    WHERE a.id = p_id ORDER BY c.revision;
                IF FOUND THEN
                    RETURN;
                END IF;
            END IF;

            -- Before anything is looked at: what the first call changed would refuse the second one.
            IF p_key IS NOT NULL AND EXISTS (
                SELECT FROM keyvane.receipt WHERE token = p_token AND key = p_key AND created_at > now() - interval '24 hours')
            THEN
                RETURN QUERY SELECT \(refusal("'repeated'"));
                RETURN;
            END IF;
            IF p_base <> env.revision THEN
                RETURN QUERY SELECT \(refusal("'moved'"));
                RETURN;
            END IF;

            WITH plan AS (\(plan))
            SELECT
                count(*) FILTER (WHERE effective) AS changes,
                coalesce(sum(CASE WHEN NOT effective THEN 0 WHEN op = 'delete' THEN -1 ELSE (NOT live)::integer END), 0) AS entries,
                coalesce(sum(CASE WHEN NOT effective THEN 0 WHEN op = 'delete' THEN -old_size ELSE size - old_size END), 0) AS bytes,
                bool_or(moved) AS moved,
                min(name) FILTER (WHERE other_kind AND op IN ('set', 'keep')) AS conflict,
                bool_or(other_kind AND op = 'delete') AS missing
            INTO checked FROM plan;

            IF checked.moved THEN
                RETURN QUERY SELECT \(refusal("'moved'"));
                RETURN;
            ELSIF checked.conflict IS NOT NULL THEN
                RETURN QUERY SELECT \(refusal("'conflict'", name: "checked.conflict"));
                RETURN;
            ELSIF checked.missing THEN
                RETURN QUERY SELECT \(refusal("'not_found_kind'"));
                RETURN;
            END IF;

            IF p_condition = 'revision_in' THEN
                IF NOT env.revision = ANY (p_expected) THEN
                    RETURN QUERY SELECT \(refusal("'precondition_failed'", current: "env.revision"));
                    RETURN;
                END IF;
            ELSIF p_condition <> 'none' THEN
                SELECT version INTO version_now FROM keyvane.entry
                WHERE environment_id = p_environment AND name = p_names[1] AND value IS NOT NULL;
                IF NOT (CASE p_condition
                    WHEN 'absent' THEN version_now IS NULL
                    WHEN 'exists' THEN version_now IS NOT NULL
                    ELSE coalesce(version_now = ANY (p_expected), false) END)
                THEN
                    RETURN QUERY SELECT \(refusal("'precondition_failed'", current: "version_now"));
                    RETURN;
                END IF;
            END IF;

            -- What makes an environment smaller is allowed however large it is.
            IF (checked.entries > 0 AND env.entry_count + checked.entries > p_max_entries)
                OR (checked.bytes > 0 AND env.entry_bytes + checked.bytes > p_max_bytes)
            THEN
                RETURN QUERY SELECT \(refusal("'environment_too_large'"));
                RETURN;
            END IF;

            IF p_key IS NOT NULL THEN
                -- Waits for another call with this key, wherever it is; one that is older than a day is forgotten.
                INSERT INTO keyvane.receipt AS r (token, key, fingerprint, created_at, environment_id, first, last)
                VALUES (p_token, p_key, p_fingerprint, now(), p_environment, CASE WHEN checked.changes > 0 THEN env.revision + 1 END,
                    env.revision + checked.changes)
                ON CONFLICT (token, key) DO UPDATE SET fingerprint = excluded.fingerprint, created_at = excluded.created_at,
                    environment_id = excluded.environment_id, first = excluded.first, last = excluded.last, record = NULL
                WHERE r.created_at <= now() - interval '24 hours';
                IF NOT FOUND THEN
                    RETURN QUERY SELECT \(refusal("'repeated'"));
                    RETURN;
                END IF;
            END IF;

            IF checked.changes = 0 THEN
                RETURN QUERY
                    WITH plan AS (\(plan))
                    SELECT 'ok', NULL::bigint, env.revision, env.mark, p.name, p.old_kind, NULL::text, p.old_enabled, p.old_version,
                        p.old_revision, NULL::bigint, p.old_note, p.old_enabled, \(milliseconds("p.old_at")), p.old_actor,
                        NULL::text
                    FROM plan p WHERE p.live ORDER BY p.ordinal;
                IF NOT FOUND THEN
                    RETURN QUERY SELECT \(refusal("'ok'"));
                END IF;
                RETURN;
            END IF;

            now_ms := date_trunc('milliseconds', clock_timestamp());
            RETURN QUERY
                WITH plan AS MATERIALIZED (
                    SELECT plan.*,
                        CASE WHEN effective THEN env.revision + count(*) FILTER (WHERE effective) OVER (ORDER BY ordinal) END AS revision,
                        CASE WHEN effective THEN floor(random() * 4294967296)::bigint END AS mark
                    FROM (\(plan)) plan
                ), logged AS (
                    INSERT INTO keyvane.change (environment_id, revision, first, last, mark, name, kind, action, visible, value, version, note,
                        enabled, at, actor)
                    SELECT p_environment, p.revision, env.revision + 1, env.revision + checked.changes, p.mark, p.name, p.kind, p.action,
                        p.op <> 'delete' AND p.enabled, CASE WHEN p.op <> 'delete' THEN p.value END, p.old_version + 1, p.note, p.enabled,
                        now_ms, p_actor
                    FROM plan p WHERE p.effective
                ), stored AS (
                    INSERT INTO keyvane.entry AS e (environment_id, name, kind, value, size, version, revision, note, enabled, updated_at,
                        updated_by)
                    SELECT p_environment, p.name, p.kind, CASE WHEN p.op <> 'delete' THEN p.value END,
                        CASE WHEN p.op <> 'delete' THEN p.size ELSE 0 END,
                        p.old_version + 1, p.revision, p.note, p.enabled, now_ms, p_actor
                    FROM plan p WHERE p.effective
                    ON CONFLICT (environment_id, name) DO UPDATE SET kind = excluded.kind, value = excluded.value, size = excluded.size,
                        version = excluded.version, revision = excluded.revision, note = excluded.note, enabled = excluded.enabled,
                        updated_at = excluded.updated_at, updated_by = excluded.updated_by
                ), counted AS (
                    UPDATE keyvane.environment SET revision = env.revision + checked.changes,
                        mark = (SELECT p.mark FROM plan p WHERE p.revision = env.revision + checked.changes),
                        entry_count = env.entry_count + checked.entries, entry_bytes = env.entry_bytes + checked.bytes, updated_at = now_ms
                    WHERE id = p_environment
                ), audited AS (
                    INSERT INTO keyvane.audit (id, at, actor, action, place, environment_id, target, first, last, request_id)
                    VALUES (p_id, now_ms, p_actor, p_action, env.path, p_environment, p_target, env.revision + 1,
                        env.revision + checked.changes, p_request)
                ), announced AS (
                    INSERT INTO keyvane.outbox (environment_id, first, last, created_at)
                    VALUES (p_environment, env.revision + 1, env.revision + checked.changes, now_ms)
                )
                SELECT 'ok', NULL::bigint, env.revision + checked.changes, env.mark, p.name,
                    CASE WHEN p.effective THEN p.kind ELSE p.old_kind END,
                    CASE WHEN p.effective THEN p.action END,
                    CASE WHEN p.effective THEN p.op <> 'delete' AND p.enabled ELSE p.old_enabled END,
                    CASE WHEN p.effective THEN p.old_version + 1 ELSE p.old_version END,
                    coalesce(p.revision, p.old_revision), p.mark,
                    CASE WHEN p.effective THEN p.note ELSE p.old_note END, CASE WHEN p.effective THEN p.enabled ELSE p.old_enabled END,
                    \(milliseconds("CASE WHEN p.effective THEN now_ms ELSE p.old_at END")),
                    CASE WHEN p.effective THEN p_actor ELSE p.old_actor END, NULL::text
                FROM plan p WHERE p.effective OR p.live ORDER BY p.ordinal;
        END
        $$;
        """

    /// Each change beside the entry as it is. The LIMIT keeps it a look-up by primary key for each name: the planner would otherwise join with
    /// all entries of the environment where the average environment is small.
    private static let plan = """
        SELECT c.ordinal, c.name, c.op, c.value, c.size, coalesce(c.kind, e.kind) AS kind, coalesce(e.live, false) AS live,
            e.kind AS old_kind, e.note AS old_note, coalesce(e.version, 0) AS old_version, e.revision AS old_revision,
            e.updated_at AS old_at, e.updated_by AS old_actor, CASE WHEN e.live THEN e.size ELSE 0 END AS old_size,
            e.enabled AS old_enabled, coalesce(c.enabled, CASE WHEN e.live THEN e.enabled ELSE true END) AS enabled,
            CASE WHEN e.live THEN coalesce(c.note, e.note) ELSE c.note END AS note,
            CASE WHEN c.op = 'delete' THEN 'delete' WHEN NOT coalesce(e.live, false) THEN 'create' WHEN c.enabled <> e.enabled
                THEN CASE WHEN c.enabled THEN 'enable' ELSE 'disable' END ELSE 'set' END AS action,
            coalesce(c.version <> coalesce(e.version, 0), false) AS moved,
            coalesce(e.live AND c.kind <> e.kind, false) AS other_kind,
            CASE c.op
                WHEN 'keep' THEN false
                WHEN 'delete' THEN coalesce(e.live, false)
                ELSE NOT coalesce(e.live, false) OR c.kind = 'secret' OR c.kind <> e.kind OR e.value <> c.value
                    OR (c.note IS NOT NULL AND c.note <> coalesce(e.note, '')) OR (c.enabled IS NOT NULL AND c.enabled <> e.enabled)
            END AS effective
        FROM unnest(p_names, p_kinds, p_ops, p_values, p_sizes, p_notes, p_enabled, p_versions)
            WITH ORDINALITY AS c (name, kind, op, value, size, note, enabled, version, ordinal)
        LEFT JOIN LATERAL (
            SELECT x.kind, x.value, x.size, x.version, x.revision, x.note, x.enabled, x.updated_at, x.updated_by, x.value IS NOT NULL AS live
            FROM keyvane.entry x WHERE x.environment_id = p_environment AND x.name = c.name LIMIT 1
        ) e ON true
        """

    private static func refusal(_ status: String, current: String = "NULL::bigint", name: String = "NULL::text") -> String {
        "\(status), \(current), env.revision, env.mark, \(name), NULL::text, NULL::text, NULL::boolean, NULL::bigint, NULL::bigint, "
            + "NULL::bigint, NULL::text, NULL::boolean, NULL::bigint, NULL::text, NULL::text"
    }

    private static func milliseconds(_ expression: String) -> String {
        "(extract(epoch FROM \(expression)) * 1000)::bigint"
    }
}
