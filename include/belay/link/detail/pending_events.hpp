// SPDX-License-Identifier: MIT
/// \file belay/link/detail/pending_events.hpp
/// PendingEvents: the events of a supervised connection of which its observer is notified later.
#pragma once

#include <cstddef>  // std::size_t
#include <utility>  // std::exchange, std::move

#include <belay/core/assert.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/link/event.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Transitions, in their order, and the messages that rose before `connected`, which come behind
/// them.
///
/// Thread safety: home thread of the supervisor.
template <class M>
class PendingEvents {
public:
    struct Early {
        M message;
        Lane lane;
    };

    void add(const Transition& change) {
        if (!has_change()) {
            first_ = change;
            has_first_ = true;
            return;
        }
        BELAY_INVARIANT(
            !has_last_ && change.to.state == LinkState::stopped,
            "PendingEvents::add: a second change before the observer is notified must be a stop");
        last_from_ = change.from;
        has_last_ = true;
    }
    [[nodiscard]] bool has_change() const noexcept { return has_first_ || has_last_; }
    /// `now`: the status, to which the last transition has led.
    [[nodiscard]] Transition take_change(const LinkStatus& now) noexcept {
        if (std::exchange(has_first_, false)) return first_;
        has_last_ = false;
        return {last_from_, now};
    }

    /// A greeting that came before the last lane was open.   Returns: false if there is no memory.
    [[nodiscard]] bool add(M message, Lane lane) noexcept {
        return early_.try_push({std::move(message), lane});
    }
    [[nodiscard]] std::size_t early_count() const noexcept { return early_.size(); }
    [[nodiscard]] Early take_early() noexcept { return early_.pop(); }
    /// Their connection is over.
    void drop_early() noexcept { early_.clear(); }

private:
    EventRing<Early> early_;
    // At most two between two looks. The second is the end of a drain without a close, or a stop()
    // in a transport, check or rule. Nothing follows it without a command.
    Transition first_{};
    bool has_first_ = false;
    bool has_last_ = false;
    LinkState last_from_ = LinkState::stopped;
};

}}}  // namespace belay::detail
