// SPDX-License-Identifier: MIT
// expect-error: Receiver: the observer's on_refused must be 'on_refused
#include <belay/session/receiver.hpp>

#include "support/session/session_archetypes.hpp"

struct App {
    void on_committed(const belay::Id&, const belay::Progress&) {}
    // As of a queue.
    void on_refused(const std::error_code&) {}
#if defined(BELAY_CONTROL)
    void on_refused(belay::SessionErrc, const belay::Id&) {}
#endif
};

void use() {
    belay::Receiver<belay_test::MinimalBytesTransport, belay_test::MinimalLedger, belay::AllowAll,
                    App>
        receiver{belay_test::MinimalLedger{0}};
}
