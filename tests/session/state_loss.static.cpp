// SPDX-License-Identifier: MIT
// Goal: each loss that the receiver's numbers can show has its name, and without a loss there is
// none.
#include <belay/session/detail/sender_core.hpp>

namespace {

using namespace belay;
using belay::detail::detect_state_loss;

constexpr Id home{std::byte{1}};
constexpr Id foreign{std::byte{2}};

consteval Blocked shown(const detail::SenderFacts& mine, const session_format::Welcome& w) {
    return detect_state_loss(mine, w).blocked;
}
consteval session_format::Welcome known(std::uint64_t applied, const Id& at = home) {
    session_format::Welcome w;
    w.known = true;
    w.store = at;
    w.applied = applied;
    return w;
}
consteval session_format::Welcome unknown(const Id& at = home) {
    session_format::Welcome w;
    w.store = at;
    return w;
}

// The journal is not adopted by any store yet.
static_assert(shown({.acked = 0, .durable = 5, .pinned_store = no_id}, unknown()) == Blocked::none);
static_assert(shown({.acked = 0, .durable = 5, .pinned_store = no_id}, known(3)) == Blocked::none);
// The journal is pinned.
static_assert(shown({3, 5, home}, known(3)) == Blocked::none);
static_assert(shown({3, 5, home}, known(5)) == Blocked::none);
static_assert(shown({3, 5, home}, known(2)) == Blocked::receiver_rolled_back);
static_assert(shown({3, 5, home}, known(6)) == Blocked::sender_rolled_back);
static_assert(shown({3, 5, home}, known(4, foreign)) == Blocked::receiver_lost_state);
static_assert(shown({3, 5, home}, unknown()) == Blocked::receiver_lost_state);
static_assert(shown({0, 5, home}, unknown(foreign)) == Blocked::receiver_lost_state);
// The error is the one that the protocol's page specifies.
static_assert(detect_state_loss({3, 5, home}, known(4, foreign)).error ==
              SessionErrc::store_changed);
static_assert(detect_state_loss({3, 5, home}, known(2)).error == SessionErrc::receiver_rolled_back);
static_assert(detect_state_loss({3, 5, home}, known(6)).error == SessionErrc::sender_rolled_back);

}  // namespace
