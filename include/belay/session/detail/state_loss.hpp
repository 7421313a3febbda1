// SPDX-License-Identifier: MIT
/// \file belay/session/detail/state_loss.hpp
/// StateLoss: the loss of state on either side that a WELCOME reveals.
#pragma once

#include <belay/session/blocked.hpp>
#include <belay/session/greeting.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The sender's state, which is compared with the receiver's.
struct SenderFacts {
    std::uint64_t acked = 0;
    std::uint64_t durable = 0;
    Id pinned_store{};
};

/// Why a session must not continue, and the error that reports it.
struct StateLoss {
    Blocked blocked = Blocked::none;
    SessionErrc error{};
};

/// Compares the numbers. If they agree, the checks at `w.applied` must agree too.
/// Source: docs/session-protocol.md, section 5.1.
[[nodiscard]] constexpr StateLoss detect_state_loss(const SenderFacts& mine,
                                                    const session_format::Welcome& w) noexcept {
    if (mine.pinned_store != no_id && (mine.pinned_store != w.store || !w.known)) {
        return {Blocked::receiver_lost_state, SessionErrc::store_changed};
    }
    if (!w.known) return {};
    if (w.applied < mine.acked) {
        return {Blocked::receiver_rolled_back, SessionErrc::receiver_rolled_back};
    }
    if (w.applied > mine.durable) {
        return {Blocked::sender_rolled_back, SessionErrc::sender_rolled_back};
    }
    return {};
}

}}}  // namespace belay::detail
