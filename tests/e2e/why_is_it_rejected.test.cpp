// SPDX-License-Identifier: MIT
// Goal: docs/how-to/why-is-it-rejected.md has only symptoms that exist. Method: a few lines produce each symptom; the
// others are named with their test.
#include "support/catch.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/posix.hpp>
#include <belay/room/room_options.hpp>
#include <belay/sim/disk.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/link/fake_transport.hpp"
#include "support/page.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace why_rejected {

struct VirtualSleeper {
    Random random{Seed{1}};
    Instant time{};
    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    void sleep_until(Instant until, const auto&) noexcept { time = until; }
};

std::error_code retried(const auto& policy, const auto& call) {
    VirtualSleeper sleeper;
    return retry(policy, sleeper, call).error();
}

bool rejected_by_a_breaker() {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, Shared{breaker, FailFast{}},
                        MaxAttempts{3}};
    return retried(policy, [] { return false; }) == CallErrc::call_rejected;
}

bool rejected_by_a_full_queue() {
    belay_test::AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 1}};
    const Pipeline pipeline{Queued{bulkhead}};
    const auto call = [&] { return belay_test::takes(sleeper, 1ms, 1); };
    const auto held = bulkhead.acquire(sleeper.now());
    auto first = pipeline(sleeper, call);
    first.start();
    auto second = pipeline(sleeper, call);
    second.start();
    return !first.done() && second.done() && second.take().error() == CallErrc::call_rejected;
}

bool open_without_end() {
    return retried(Breaker{ConsecutiveFailures{1}, OpenFor{forever}}, [] { return false; }) ==
           CallErrc::breaker_open;
}

bool gave_up() {
    return retried(MaxAttempts{2}, [] { return false; }) == CallErrc::gave_up;
}

bool peer_timed_out() {
    const Result<int> slow = make_error_code(std::errc::timed_out);
    return retried(MaxAttempts{1}, [&] { return slow; }) == std::errc::timed_out;
}

// A link over a scripted connection.
struct Linked {
    belay_test::TransportState transport{};
    Supervisor<belay_test::FakeTransport<false>, MaxAttempts> link{
        belay_test::FakeTransport<false>{transport}, MaxAttempts{5}};

    Linked() {
        link.attach(Waker{});
        link.start();
        run();
    }
    void run() {
        for (int i = 0; i < 100 && link.deadline() <= Instant{}; ++i) link.advance(Instant{});
    }
    bool ends(Cause cause, LinkState state) {
        transport.link.closed({.cause = cause});
        run();
        return link.status().state == state;
    }
    bool returns(SendResult result) {
        transport.link.opened();
        run();
        transport.answer = result;
        return link.send("message") == result;
    }
};

bool is_full() {
    Queue queue{Ring<int, 1>{}};
    return !queue.push(1) && queue.push(2) == QueueErrc::queue_full;
}

bool is_too_large() {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "journal", {.record_bytes_max = 100});
    return journal->append(Bytes(101)).error() == QueueErrc::too_large;
}

bool is_displaced() {
    const belay_test::TemporaryDirectory directory;
    auto journal = posix::Journal::open(directory.path() + "/journal");
    std::filesystem::rename(directory.path() + "/journal", directory.path() + "/away");
    return journal->append(Bytes(1)).error() == QueueErrc::displaced ||
           journal->commit() == QueueErrc::displaced;
}

bool has_the_codes_of_the_authorizer() {
    return RoomCloseCodes{}.unauthorized == 4001 && RoomCloseCodes{}.forbidden == 4003;
}

// The symptoms that a few lines produce, without backquotes.
const std::map<std::string, std::function<bool()>, std::less<>> produced{
    {"CallErrc::call_rejected", rejected_by_a_breaker},
    {"CallErrc::call_rejected by the object of a Queued", rejected_by_a_full_queue},
    {"CallErrc::breaker_open", open_without_end},
    {"CallErrc::gave_up", gave_up},
    {"std::errc::timed_out without a rejection", peer_timed_out},
    {"blocked_auth", [] { return Linked{}.ends(Cause::unauthorized, LinkState::blocked_auth); }},
    {"failed", [] { return Linked{}.ends(Cause::permanent, LinkState::failed); }},
    {"send() returns busy", [] { return Linked{}.returns(SendResult::busy); }},
    {"send() returns rejected", [] { return Linked{}.returns(SendResult::rejected); }},
    {"send() returns down", [] { return Linked{}.link.send("message") == SendResult::down; }},
    {"QueueErrc::queue_full", is_full},
    {"QueueErrc::too_large", is_too_large},
    {"QueueErrc::displaced", is_displaced},
    {"4001, 4003", has_the_codes_of_the_authorizer},
    {"4413", [] { return RoomCloseCodes{}.too_large == 4413; }},
};

// The others, with the folder of their tests.
const std::map<std::string, std::string, std::less<>> elsewhere{
    {"CallErrc::call_rejected of an HttpCalls", "http"},
    {"std::errc::timed_out, and the observer reports a rejection", "call"},
    {"an upgrade is rejected for minutes, and then the link is failed", "beast"},
    {"LinkErrc::not_validated", "link"},
    {"Session is blocked", "session"},
    {"on_rejected of a Receiver", "session"},
    {"1013", "room"},
    {"4409", "room"},
    {"4410", "room"},
};

std::multiset<std::string> symptoms_of_page() {
    std::istringstream text{belay_test::page_text("how-to/why-is-it-rejected.md")};
    std::multiset<std::string> found;
    for (std::string line; std::getline(text, line);) {
        if (!line.starts_with("| ") || line.starts_with("| what") || line.starts_with("| ---"))
            continue;
        std::erase(line, '`');
        found.insert(line.substr(2, line.find(" |", 2) - 2));
    }
    return found;
}

}  // namespace why_rejected

TEST_CASE("the page of rejections lists each symptom once, and each has a test", "[e2e][unit]") {
    std::multiset<std::string> tested;
    for (const auto& [symptom, produces] : why_rejected::produced) tested.insert(symptom);
    for (const auto& [symptom, folder] : why_rejected::elsewhere) tested.insert(symptom);
    CHECK(why_rejected::symptoms_of_page() == tested);
}

TEST_CASE("a few lines produce the symptoms of the page of rejections", "[e2e][unit]") {
    for (const auto& [symptom, produces] : why_rejected::produced) {
        CAPTURE(symptom);
        CHECK(produces());
    }
}
