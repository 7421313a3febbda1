// SPDX-License-Identifier: MIT
// Goal: every SyncErrc has a text, and is retryable exactly if it may pass. Method: all values.
#include <belay/sync/sync_errc.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("SyncErrc has a text for every value, and is retryable if it may pass",
          "[sync][sync_errc]") {
    std::set<std::string> texts;
    for (int value = 1; value <= 24; ++value) {
        const std::error_code code = static_cast<SyncErrc>(value);
        CHECK(std::string{code.category().name()} == "belay.sync");
        CHECK(code.message() != "unknown error");
        CHECK(texts.insert(code.message()).second);
    }
    CHECK(std::error_code{static_cast<SyncErrc>(25)}.message() == "unknown error");
    for (const SyncErrc one :
         {SyncErrc::store_busy, SyncErrc::store_failed, SyncErrc::held_back, SyncErrc::store_threw,
          SyncErrc::pending_full, SyncErrc::local_threw, SyncErrc::unanswered,
          SyncErrc::from_the_future, SyncErrc::store_closed, SyncErrc::pending_expired,
          SyncErrc::replica_full}) {
        CHECK(detail::may_heal(one));
    }
    for (const SyncErrc one :
         {SyncErrc::bad_operation, SyncErrc::unknown_session, SyncErrc::too_old,
          SyncErrc::id_reused, SyncErrc::store_full, SyncErrc::store_corrupt,
          SyncErrc::store_disagrees, SyncErrc::end_of_time, SyncErrc::other_store,
          SyncErrc::scene_changed, SyncErrc::not_loaded, SyncErrc::endless_changes,
          SyncErrc::unreadable}) {
        CHECK_FALSE(detail::may_heal(one));
    }
    CHECK_FALSE(detail::may_heal({}));
}
