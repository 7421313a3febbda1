// SPDX-License-Identifier: MIT
// expect-error: EventLoopLike: L needs .call_at.belay::Instant, f.., which sets its one timer
#include <belay/drive/on_event_loop.hpp>

struct EventLoop {
    template <class F>
    void call(F) {}
#if defined(BELAY_CONTROL)
    template <class F>
    void call_at(belay::Instant, F) {}
#endif
    belay::Instant now() const noexcept { return belay::never; }
};

template class belay::OnEventLoop<EventLoop>;
