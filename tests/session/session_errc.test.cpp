// SPDX-License-Identifier: MIT
// Goal: every error of the protocol has a fixed number, a text, and the cause that decides how a
// supervisor reacts. Method: all values.
#include <belay/session/session_format.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("SessionErrc has the codes of ERROR frames, and texts", "[session][session_errc][unit]") {
    CHECK(std::string_view{belay::detail::session_category().name()} == "belay.session");
    CHECK(static_cast<int>(SessionErrc::protocol) == 1);
    CHECK(static_cast<int>(SessionErrc::version) == 2);
    CHECK(static_cast<int>(SessionErrc::unauthorized) == 3);
    CHECK(static_cast<int>(SessionErrc::forbidden) == 4);
    CHECK(static_cast<int>(SessionErrc::fenced) == 5);
    CHECK(static_cast<int>(SessionErrc::store_changed) == 6);
    CHECK(static_cast<int>(SessionErrc::unknown_journal) == 7);
    CHECK(static_cast<int>(SessionErrc::gap) == 8);
    CHECK(static_cast<int>(SessionErrc::too_large) == 9);
    CHECK(static_cast<int>(SessionErrc::overloaded) == 10);
    CHECK(static_cast<int>(SessionErrc::draining) == 11);
    CHECK(static_cast<int>(SessionErrc::superseded) == 12);
    CHECK(static_cast<int>(SessionErrc::storage) == 13);
    CHECK(static_cast<int>(SessionErrc::silent) == 18);
    std::set<std::string> texts;
    CHECK(static_cast<int>(SessionErrc::far_ahead) == 19);
    CHECK(static_cast<int>(SessionErrc::takes_no_more) == 20);
    CHECK(static_cast<int>(SessionErrc::token_too_long) == 21);
    CHECK(static_cast<int>(SessionErrc::hello_rejected) == 22);
    CHECK(static_cast<int>(SessionErrc::not_sent) == 23);
    for (int i = 1; i <= 23; ++i) texts.insert(belay::detail::session_category().message(i));
    CHECK(texts.size() == 23);
    CHECK(texts.count("unknown error") == 0);
    CHECK(belay::detail::session_category().message(0) == "unknown error");
    CHECK(belay::detail::session_category().message(24) == "unknown error");
}

TEST_CASE("SessionErrc has the cause that its reaction needs", "[session][session_errc][unit]") {
    const auto cause = [](SessionErrc e) { return cause_of(make_error_code(e)); };
    // These are tried again by the policy.
    CHECK(cause(SessionErrc::protocol) == Cause::protocol);
    CHECK(cause(SessionErrc::gap) == Cause::protocol);
    CHECK(cause(SessionErrc::superseded) == Cause::lost);
    CHECK(cause(SessionErrc::storage) == Cause::lost);
    CHECK(cause(SessionErrc::overloaded) == Cause::overloaded);
    CHECK(cause(SessionErrc::draining) == Cause::overloaded);
    CHECK(cause(SessionErrc::silent) == Cause::timed_out);
    CHECK(cause(SessionErrc::far_ahead) == Cause::refused);
    // These block until there are new credentials.
    CHECK(cause(SessionErrc::unauthorized) == Cause::unauthorized);
    CHECK(cause(SessionErrc::forbidden) == Cause::unauthorized);
    // These stop the session, because another attempt cannot succeed.
    for (const SessionErrc e :
         {SessionErrc::version, SessionErrc::fenced, SessionErrc::store_changed,
          SessionErrc::unknown_journal, SessionErrc::too_large, SessionErrc::receiver_rolled_back,
          SessionErrc::sender_rolled_back, SessionErrc::diverged, SessionErrc::journal_failed,
          SessionErrc::token_too_long, SessionErrc::hello_rejected}) {
        CHECK(cause(e) == Cause::permanent);
    }
    CHECK(failure_of(SessionErrc::overloaded, std::chrono::seconds{2}).retry_after ==
          std::chrono::seconds{2});
    CHECK(failure_of(SessionErrc::gap).error() == SessionErrc::gap);
}
