// SPDX-License-Identifier: MIT
// expect-error: Session: the observer's on_blocked must be 'on_blocked
#include <belay/policy/max_attempts.hpp>
#include <belay/session/session.hpp>

#include "support/session/session_archetypes.hpp"

struct App {
    void on_accepted(std::uint64_t) {}
#if defined(BELAY_CONTROL)
    void on_blocked(auto&, belay::Blocked, const belay::BlockedDetails&) {}
#else
    void on_blocked(auto&, belay::Blocked) {}
#endif
};

void use(belay_test::MinimalSessionQueue queue) {
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}, App{}};
}
