// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Deletes a place with all that is in it, as one call: who is deleted is known only under locks, and each step must see what the last
/// committed writer left.
///
/// Locks are taken from the top down, environments in the order of their ids, as batches of mutations take them. A workspace's or project's
/// row lock also keeps out whoever wants to make something in it; a mutation that waits for its environment finds it gone.
enum RemovalFunction {
    static let sql = """
        CREATE OR REPLACE FUNCTION keyvane.remove_place(
            p_level text, p_workspace text, p_project text, p_environment text, p_force boolean, p_expected text[],
            p_audit uuid, p_actor text, p_request text
        ) RETURNS TABLE (environments text, status text) LANGUAGE plpgsql AS $$
        #variable_conflict use_column
        DECLARE
            top uuid;
            present text;
            doomed_projects uuid[];
            doomed uuid[];
        BEGIN
            IF p_level = 'workspace' THEN
                SELECT w.id, w.version::text INTO top, present FROM keyvane.workspace w WHERE w.slug = p_workspace FOR UPDATE;
            ELSIF p_level = 'project' THEN
                SELECT p.id, p.version::text INTO top, present FROM keyvane.project p JOIN keyvane.workspace w ON w.id = p.workspace_id
                WHERE w.slug = p_workspace AND p.slug = p_project FOR UPDATE OF p;
            ELSE
                SELECT e.id, e.version || '.' || e.revision INTO top, present FROM keyvane.environment e
                JOIN keyvane.project p ON p.id = e.project_id JOIN keyvane.workspace w ON w.id = p.workspace_id
                WHERE w.slug = p_workspace AND p.slug = p_project AND e.slug = p_environment FOR UPDATE OF e;
            END IF;
            IF top IS NULL THEN
                RETURN QUERY SELECT ''::text, 'not_found'::text;
                RETURN;
            ELSIF p_expected IS NOT NULL AND NOT present = ANY (p_expected) THEN
                RETURN QUERY SELECT ''::text, 'precondition_failed'::text;
                RETURN;
            END IF;

            IF p_level = 'environment' THEN
                doomed := ARRAY[top];
            ELSE
                IF p_level = 'project' THEN
                    doomed_projects := ARRAY[top];
                ELSE
                    SELECT array_agg(x.id) INTO doomed_projects FROM (
                        SELECT p.id FROM keyvane.project p WHERE p.workspace_id = top ORDER BY p.id FOR UPDATE
                    ) x;
                END IF;
                SELECT array_agg(x.id) INTO doomed FROM (
                    SELECT e.id FROM keyvane.environment e WHERE e.project_id = ANY (doomed_projects) ORDER BY e.id FOR UPDATE
                ) x;
                IF NOT p_force AND (doomed IS NOT NULL OR (p_level = 'workspace' AND doomed_projects IS NOT NULL)) THEN
                    RETURN QUERY SELECT ''::text, 'not_empty'::text;
                    RETURN;
                END IF;
            END IF;

            DELETE FROM keyvane.outbox WHERE environment_id = ANY (doomed);
            DELETE FROM keyvane.entry WHERE environment_id = ANY (doomed);
            DELETE FROM keyvane.change WHERE environment_id = ANY (doomed);
            DELETE FROM keyvane.environment WHERE id = ANY (doomed);
            DELETE FROM keyvane.project WHERE id = ANY (doomed_projects);
            IF p_level = 'workspace' THEN
                DELETE FROM keyvane.workspace WHERE id = top;
            END IF;
            -- What was done there stays known.
            INSERT INTO keyvane.audit (id, at, actor, action, place, environment_id, target, request_id)
            VALUES (p_audit, date_trunc('milliseconds', clock_timestamp()), p_actor, p_level || '.delete',
                concat_ws('/', p_workspace, p_project, p_environment), CASE WHEN p_level = 'environment' THEN top END,
                coalesce(p_environment, p_project, p_workspace), p_request);
            RETURN QUERY SELECT coalesce(array_to_string(doomed, ','), ''), 'ok'::text;
        END
        $$;
        """
}
