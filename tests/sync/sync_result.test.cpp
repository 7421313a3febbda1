// SPDX-License-Identifier: MIT
// Goal: a SyncResult is one line for logs. Method: the texts.
#include <belay/sync/sync_result.hpp>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;

TEST_CASE("to_string of a SyncResult is one line", "[sync][sync_result]") {
    SyncResult<belay_test::Op> result;
    CHECK(to_string(result) == "sync: 0 synced, 0 conflicts, 0 failed, 0 retries, 0 ms");
    result.synced_count = 3;
    result.conflict_count = 1;
    result.retry_attempts = 1;
    result.duration = std::chrono::milliseconds{700};
    CHECK(to_string(result) == "sync: 3 synced, 1 conflict, 0 failed, 1 retry, 700 ms");
}
