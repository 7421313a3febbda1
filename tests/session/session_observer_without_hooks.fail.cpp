// SPDX-License-Identifier: MIT
// expect-error: Session: the observer hears nothing
#include <belay/policy/max_attempts.hpp>
#include <belay/session/session.hpp>

#include "support/session/session_archetypes.hpp"

struct App {
#if defined(BELAY_CONTROL)
    void on_accepted(std::uint64_t) {}
#else
    void on_acepted(std::uint64_t) {}
#endif
};

void use(belay_test::MinimalSessionQueue queue) {
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}, App{}};
}
