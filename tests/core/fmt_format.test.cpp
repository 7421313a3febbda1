// SPDX-License-Identifier: MIT
// Goal: fmt formats every type with a text, and no other. Method: the real library, one value of
// each kind.
#include <belay/core/fmt_format.hpp>

#include <belay/breaker/breaker_text.hpp>
#include <belay/call/call_text.hpp>
#include <belay/fleet/fleet_text.hpp>
#include <belay/journal/journal_text.hpp>
#include <belay/link/link_text.hpp>
#include <belay/link/requests.hpp>
#include <belay/session/session_text.hpp>
#include <belay/work/lease.hpp>
#include <belay/work/work_options.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct NothingToFormat {};
static_assert(!fmt::is_formattable<NothingToFormat>::value);

template <class T>
void check_formatted(const T& value) {
    CHECK(fmt::format("{}", value) == std::string{to_string(value)});
}

}  // namespace

TEST_CASE("fmt formats statuses, events, errors and enumerators by their text",
          "[core][fmt_format][unit]") {
    CHECK(fmt::format("{:>10}|{:<8}|", LinkState::cooldown, Cause::lost) == "  cooldown|lost    |");
    CHECK(fmt::format("{}", LinkStatus{}) == "state=stopped attempt=0 since=always");
    CHECK(fmt::format("retry at {}", to_string(never)) == "retry at never");
    check_formatted(Failure{.cause = Cause::overloaded, .retry_after = 1500ms});
    check_formatted(BreakerState::half_open);
    check_formatted(BreakerMode::disabled);
    check_formatted(BreakerEvent::Change::opened);
    check_formatted(BreakerEvent{});
    check_formatted(BreakerSnapshot{});
    check_formatted(Attempt{});
    check_formatted(Advice::stop());
    check_formatted(Advice::Verb::suspend);
    check_formatted(RetryPlanned{{}, {}, Advice::go(), 1s});
    check_formatted(CallRejected{{}, Advice::stop(), forever});
    check_formatted(RetryEnded{3, {}, {}, Advice::stop()});
    check_formatted(Transition{});
    check_formatted(Connectivity{});
    check_formatted(Connectivity::Kind::reconnecting);
    check_formatted(SendResult::busy);
    check_formatted(Gate::paused);
    check_formatted(RequestsStatus{});
    check_formatted(ServiceStatus{.name = "a"});
    check_formatted(FleetStatus{});
    check_formatted(FleetCounters{});
    check_formatted(NetworkSuspect{});
    check_formatted(PoolStatus{});
    check_formatted(JournalReport{});
    check_formatted(JournalError{make_error_code(QueueErrc::queue_full), "dir", 0, ""});
    check_formatted(DrainReport{});
    check_formatted(WorkError{.code = make_error_code(std::errc::io_error)});
    check_formatted(WorkItem{});
    check_formatted(DeadWork{});
    check_formatted(DeathCause::expired);
    check_formatted(Blocked::fenced);
    check_formatted(SessionStatus{});
    check_formatted(BlockedDetails{});
    check_formatted(OutboxStatus{});
}
