// SPDX-License-Identifier: MIT
// Goal: OutputPace finds connections that accept too little, and no other one. Method: timelines,
// as static asserts.
#include <belay/room/detail/client_connection.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Instant at(Duration d) { return Instant{1h + d}; }

/// Whether a connection that accepts `bytes` each `every`, for `waits` of that time, is closed
/// within 10 minutes at 512 B/s over 45 s.
constexpr bool is_closed(std::size_t bytes, Duration every, Duration waits) {
    detail::OutputPace pace;
    for (Duration t{}; t < 10min; t += every) {
        pace.begin(at(t), 45s);
        if (pace.check_too_slow(at(t), 45s)) return true;
        if (pace.deadline() <= at(t + waits) && pace.check_too_slow(pace.deadline(), 45s))
            return true;
        pace.accept(bytes);
        if (waits < every) pace.pause(at(t + waits));
    }
    return false;
}

// One byte a minute, one small frame before each old limit, and half of the rate.
static_assert(is_closed(1, 60s, 60s));
static_assert(is_closed(100, 44s, 44s));
static_assert(is_closed(2560, 10s, 10s));
// The time in which nothing waits does not count, if it is short.
static_assert(is_closed(1000, 10s, 9500ms));
// A slow network, and a room that has little to send.
static_assert(!is_closed(10'240, 10s, 10s));
static_assert(!is_closed(100, 10s, 100ms));
static_assert(!is_closed(100, 46s, 40s));

constexpr bool sums_waits() {
    detail::OutputPace pace;
    pace.begin(at(0s), 45s);
    pace.begin(at(5s), 45s);
    pace.pause(at(9s));  // nothing was accepted
    pace.accept();
    pace.pause(at(10s));
    pace.pause(at(10500ms));
    if (pace.deadline() != never) return false;
    pace.begin(at(10500ms), 45s);
    if (pace.deadline() != at(45500ms)) return false;
    pace.accept();
    pace.pause(at(20s));
    pace.begin(at(21s), 45s);
    return pace.deadline() == at(66s);
}
static_assert(sums_waits());

/// All of a window is accepted in a turn that is late: after `bytes`, nothing waits any more.
constexpr detail::OutputPace after_late_turn(std::size_t bytes) {
    detail::OutputPace pace;
    pace.begin(at(0s), 45s);
    pace.accept(bytes);
    pace.pause(at(45s + 5ms));
    return pace;
}
constexpr bool judges_in_late_turn() {
    detail::OutputPace slow = after_late_turn(100);
    if (slow.deadline() > at(45s + 5ms) || !slow.check_too_slow(at(45s + 5ms), 45s)) return false;
    detail::OutputPace fast = after_late_turn(1'000'000);
    if (fast.check_too_slow(at(45s + 5ms), 45s) || fast.deadline() != never) return false;
    fast.begin(at(45500ms), 45s);
    return fast.deadline() == at(90500ms);
}
static_assert(judges_in_late_turn());

/// The server was paused: all is accepted when it continues.
constexpr bool judges_no_pause() {
    detail::OutputPace pace;
    pace.begin(at(0s), 45s);
    pace.accept(100);
    pace.pause(at(60s));
    if (pace.check_too_slow(at(60s), 45s) || pace.deadline() != never) return false;
    pace.begin(at(60s), 45s);
    return pace.deadline() == at(105s) && pace.check_too_slow(at(105s), 45s);
}
static_assert(judges_no_pause());

/// Output that waits again before the check takes no window from it.
constexpr bool judges_after_late_turn() {
    detail::OutputPace slow = after_late_turn(100);
    slow.begin(at(45s + 10ms), 45s);
    return slow.deadline() == at(45s + 10ms) && slow.check_too_slow(at(45s + 10ms), 45s);
}
static_assert(judges_after_late_turn());

}  // namespace
