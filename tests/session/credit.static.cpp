// SPDX-License-Identifier: MIT
// Goal: a sender stays within its credit, and sends no operation twice on one connection.
#include <belay/session/session_format.hpp>

namespace {

using belay::detail::SendWindow;

consteval bool a_window_is_shut_until_it_is_resumed() {
    SendWindow w;
    return !w.open(100);
}
static_assert(a_window_is_shut_until_it_is_resumed());

consteval bool numbers_end_at_the_limit_and_at_what_is_durable() {
    SendWindow w;
    w.resume(5, {.number_limit = 6, .byte_limit = 100});
    bool ok = w.highest() == 4 && !w.open(4) && w.open(5) && w.admits(10);
    w.sent(10);
    ok = ok && w.highest() == 5 && w.open(9) && w.admits(10);
    w.sent(10);
    ok = ok && !w.open(9);
    w.grant({.number_limit = 7, .byte_limit = 0});  // a lower limit does not reduce the credit
    return ok && w.open(9) && w.admits(80);
}
static_assert(numbers_end_at_the_limit_and_at_what_is_durable());

consteval bool an_operation_without_room_waits_for_credit() {
    SendWindow w;
    w.resume(1, {.number_limit = 10, .byte_limit = 100});
    bool ok = w.admits(60);
    w.sent(60);
    // After it was not admitted, the window is closed, and a smaller operation does not overtake.
    ok = ok && !w.admits(41) && !w.open(10);
    w.grant({.number_limit = 10, .byte_limit = 101});
    return ok && w.open(10) && w.admits(41);
}
static_assert(an_operation_without_room_waits_for_credit());

consteval bool a_connection_begins_anew() {
    SendWindow w;
    w.resume(1, {.number_limit = 10, .byte_limit = 10});
    w.sent(10);
    w.close();
    bool ok = w.highest() == 0 && !w.open(10);
    w.resume(1, {.number_limit = 10, .byte_limit = 10});
    return ok && w.open(10) && w.admits(10) && w.next() == 1;
}
static_assert(a_connection_begins_anew());

}  // namespace
