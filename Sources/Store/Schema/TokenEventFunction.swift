// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Whatever revokes a token or changes what it may do writes an event in the same transaction, whoever does it: this binary, an older one
/// that still runs, or an operator by hand.
///
/// Tokens are locked before the counter, by everybody. Who waits for the counter goes on from what its last holder committed.
enum TokenEventFunction {
    static let sql = """
        CREATE OR REPLACE FUNCTION keyvane.note_token_event() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            number bigint;
        BEGIN
            UPDATE keyvane.token_log SET last = last + 1 RETURNING last INTO STRICT number;
            INSERT INTO keyvane.token_event (sequence, mark, token_id, kind, at)
            VALUES (number, floor(random() * 4294967296)::bigint, OLD.id,
                CASE WHEN TG_OP = 'DELETE' OR NEW.revoked_at IS NOT NULL THEN 'revoked' ELSE 'changed' END, clock_timestamp());
            IF TG_OP = 'DELETE' THEN
                RETURN OLD;
            END IF;
            NEW.event := number;
            RETURN NEW;
        END
        $$;

        DROP TRIGGER IF EXISTS token_changed ON keyvane.token;
        CREATE TRIGGER token_changed BEFORE UPDATE ON keyvane.token FOR EACH ROW
        WHEN ((OLD.hash, OLD.grants, OLD.is_root, OLD.expires_at, OLD.revoked_at)
            IS DISTINCT FROM (NEW.hash, NEW.grants, NEW.is_root, NEW.expires_at, NEW.revoked_at))
        EXECUTE FUNCTION keyvane.note_token_event();

        DROP TRIGGER IF EXISTS token_deleted ON keyvane.token;
        CREATE TRIGGER token_deleted BEFORE DELETE ON keyvane.token FOR EACH ROW EXECUTE FUNCTION keyvane.note_token_event();
        """
}
