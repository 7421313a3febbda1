// SPDX-License-Identifier: MIT
// Goal: every error of the protocol has its number for ever, a text, and the cause that decides
// what a supervisor does.
#include <belay/session/sync_errc.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("SyncErrc has the codes of ERROR frames, and texts", "[session][sync_errc][unit]") {
    CHECK(std::string_view{sync_category().name()} == "belay.sync");
    CHECK(static_cast<int>(SyncErrc::protocol) == 1);
    CHECK(static_cast<int>(SyncErrc::version) == 2);
    CHECK(static_cast<int>(SyncErrc::unauthorized) == 3);
    CHECK(static_cast<int>(SyncErrc::forbidden) == 4);
    CHECK(static_cast<int>(SyncErrc::fenced) == 5);
    CHECK(static_cast<int>(SyncErrc::store_changed) == 6);
    CHECK(static_cast<int>(SyncErrc::unknown_journal) == 7);
    CHECK(static_cast<int>(SyncErrc::gap) == 8);
    CHECK(static_cast<int>(SyncErrc::too_large) == 9);
    CHECK(static_cast<int>(SyncErrc::overloaded) == 10);
    CHECK(static_cast<int>(SyncErrc::draining) == 11);
    CHECK(static_cast<int>(SyncErrc::superseded) == 12);
    CHECK(static_cast<int>(SyncErrc::storage) == 13);
    CHECK(static_cast<int>(SyncErrc::silent) == 18);
    std::set<std::string> texts;
    for (int i = 1; i <= 18; ++i) texts.insert(sync_category().message(i));
    CHECK(texts.size() == 18);
    CHECK(texts.count("unknown error") == 0);
    CHECK(sync_category().message(0) == "unknown error");
    CHECK(sync_category().message(19) == "unknown error");
}

TEST_CASE("SyncErrc has the cause that its reaction needs", "[session][sync_errc][unit]") {
    const auto cause = [](SyncErrc e) { return cause_of(make_error_code(e)); };
    // Tried again by policy.
    CHECK(cause(SyncErrc::protocol) == Cause::protocol);
    CHECK(cause(SyncErrc::gap) == Cause::protocol);
    CHECK(cause(SyncErrc::superseded) == Cause::lost);
    CHECK(cause(SyncErrc::storage) == Cause::lost);
    CHECK(cause(SyncErrc::overloaded) == Cause::overloaded);
    CHECK(cause(SyncErrc::draining) == Cause::overloaded);
    CHECK(cause(SyncErrc::silent) == Cause::timed_out);
    // Blocked for credentials.
    CHECK(cause(SyncErrc::unauthorized) == Cause::unauthorized);
    CHECK(cause(SyncErrc::forbidden) == Cause::unauthorized);
    // Stopped: trying again would be guessing.
    for (const SyncErrc e :
         {SyncErrc::version, SyncErrc::fenced, SyncErrc::store_changed, SyncErrc::unknown_journal,
          SyncErrc::too_large, SyncErrc::rolled_back_receiver, SyncErrc::rolled_back_sender,
          SyncErrc::diverged, SyncErrc::journal_failed}) {
        CHECK(cause(e) == Cause::permanent);
    }
    CHECK(failure_of(SyncErrc::overloaded, std::chrono::seconds{2}).retry_after ==
          std::chrono::seconds{2});
    CHECK(failure_of(SyncErrc::gap).error() == SyncErrc::gap);
}
