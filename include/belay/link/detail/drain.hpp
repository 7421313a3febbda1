// SPDX-License-Identifier: MIT
/// \file belay/link/detail/drain.hpp
/// Drain: whether a part over a Supervisor is drained, and until when.
#pragma once

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/waker.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The drain of a Session, an Outbox or Requests, which accept nothing more while it runs.
class Drain {
public:
    /// Begins a drain, unless the connection is stopped. If one runs, the earliest end counts. A
    /// time below 0ns counts as 0ns.
    template <class Link>
    void begin(const Link& link, Waker& waker, Instant now, Duration within) {
        // A start() that waits for the next turn is drained, too.
        const bool waits = link.deadline() == always;
        if (link.status().state == LinkState::stopped && !waits) return;
        const Instant ends = after(larger(now, waker.now()), larger(within, Duration::zero()));
        ends_ = smaller(ends_, smaller(ends, before(never, Duration{1})));
        waker.touch();
    }
    void end() noexcept { ends_ = never; }
    [[nodiscard]] bool runs() const noexcept { return ends_ != never; }
    /// Returns the instant at which it ends at the latest; `never` if none runs.
    [[nodiscard]] Instant ends() const noexcept { return ends_; }

private:
    Instant ends_ = never;
};

}}}  // namespace belay::detail
