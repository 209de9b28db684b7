// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The limits that PostgreSQL itself keeps for us, made of how long a request may wait.
extension StoreConfiguration {
    /// After this nobody waits for the answer any more.
    var statementTimeout: Duration { requestTimeout }

    /// A fraction of a request: what waits for a lock holds up its neighbours on the connection. It lets them pass and queues again.
    var lockTimeout: Duration { requestTimeout / 5 }

    /// Silence of a server beyond its own limit for a statement: it hangs, or the network swallows. The connection is replaced.
    func silence(limit: Duration?) -> Duration { (limit ?? statementTimeout) + .seconds(2) }

    /// What every connection runs under.
    ///
    /// - Plans are generic ones, and by index, whatever the statistics say: one made while the tables were empty must not scan them when full.
    /// - A commit that waits for no disk is no commit; anything stricter that the administrator chose stays.
    /// - A process that vanished with a lock is noticed by the server within 15 s too, not in hours.
    /// - The last lines keep parameters out of the server's own log.
    var sessionSetup: String {
        """
        SET statement_timeout = \(statementTimeout.wholeMilliseconds);
        SET lock_timeout = \(lockTimeout.wholeMilliseconds);
        SET idle_in_transaction_session_timeout = \((statementTimeout * 2).wholeMilliseconds);
        SET tcp_keepalives_idle = 5;
        SET tcp_keepalives_interval = 3;
        SET tcp_keepalives_count = 3;
        SET tcp_user_timeout = 15000;
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
        SET plan_cache_mode = force_generic_plan;
        SET enable_seqscan = off;
        SET jit = off;
        SET log_parameter_max_length_on_error = 0;
        SET client_min_messages = error;
        """
    }
}
