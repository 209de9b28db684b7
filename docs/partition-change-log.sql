-- Keyvane
-- SPDX-License-Identifier: Apache-2.0
--
-- Spreads the change log over 16 partitions by environment, so that vacuum, retention and backup work on smaller tables.
--     psql --single-transaction --set ON_ERROR_STOP=1 --file docs/partition-change-log.sql "$KEYVANE_POSTGRES"
-- Writers wait until it is through (writes are answered 503 after databaseTimeout, watches stay): count a minute for 10 million changes.
-- It needs as much room again as the log has. Nothing else of Keyvane changes.
LOCK TABLE keyvane.change IN ACCESS EXCLUSIVE MODE;
ALTER TABLE keyvane.change RENAME TO change_whole;
ALTER INDEX keyvane.change_pkey RENAME TO change_whole_pkey;
ALTER INDEX keyvane.change_by_name RENAME TO change_whole_by_name;
CREATE TABLE keyvane.change (LIKE keyvane.change_whole INCLUDING ALL EXCLUDING INDEXES) PARTITION BY HASH (environment_id);
DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE keyvane.change_%s PARTITION OF keyvane.change FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END $$;
INSERT INTO keyvane.change SELECT * FROM keyvane.change_whole;
ALTER TABLE keyvane.change ADD PRIMARY KEY (environment_id, revision);
CREATE INDEX change_by_name ON keyvane.change (environment_id, name, revision);
DROP TABLE keyvane.change_whole;
ANALYZE keyvane.change;
