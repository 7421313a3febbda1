// SPDX-License-Identifier: MIT
/// \file belay/link/detail/untold.hpp
/// Untold: what has happened to a supervised connection, and its observer has not been told yet.
#pragma once

#include <cstddef>  // std::size_t
#include <utility>  // std::move

#include <belay/core/assert.hpp>
#include <belay/core/detail/event_ring.hpp>
#include <belay/link/event.hpp>
#include <belay/link/status.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Transitions, in their order, and the messages that rose before `connected`, which come behind
/// them.
///
/// Thread safety: home thread of the supervisor.
template <class M>
class Untold {
public:
    struct Early {
        M message;
        Lane lane;
    };

    void add(const Transition& change) {
        BELAY_INVARIANT(changes_count_ < changes_max, "Untold::add: too many transitions");
        changes_[changes_count_++] = change;
    }
    [[nodiscard]] bool has_change() const noexcept { return changes_count_ != 0; }
    [[nodiscard]] Transition take_change() noexcept {
        const Transition change = changes_[0];
        --changes_count_;
        for (std::size_t i = 0; i < changes_count_; ++i) changes_[i] = changes_[i + 1];
        return change;
    }

    /// A greeting that came before the last lane was open.   Throws: std::bad_alloc.
    void add(M message, Lane lane) { early_.push({std::move(message), lane}); }
    [[nodiscard]] std::size_t early_count() const noexcept { return early_.size(); }
    [[nodiscard]] Early take_early() noexcept { return early_.pop(); }
    /// Their connection is over.
    void drop_early() noexcept { early_.clear(); }

private:
    /// Two at most between two looks: a dial, or a drain, that is over before it returns. A third
    /// for a transport that stops its supervisor where it is told to close.
    static constexpr std::size_t changes_max = 3;

    EventRing<Early> early_;
    Transition changes_[changes_max]{};
    std::size_t changes_count_ = 0;
};

}  // namespace belay::inline BELAY_ABI::detail
