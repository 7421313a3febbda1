// SPDX-License-Identifier: MIT
// expect-error: Receiver: the observer hears nothing
#include <belay/session/receiver.hpp>

#include "support/session/session_archetypes.hpp"

struct App {
#if defined(BELAY_CONTROL)
    void on_committed(const belay::Id&, const belay::Progress&) {}
#else
    void on_comitted(const belay::Id&, const belay::Progress&) {}
#endif
};

void use() {
    belay::Receiver<belay_test::MinimalBytesTransport, belay_test::MinimalLedger, belay::AllowAll,
                    App>
        receiver{belay_test::MinimalLedger{0}};
}
