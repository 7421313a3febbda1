// SPDX-License-Identifier: MIT
/// \file belay/session/detail/state_loss.hpp
/// Loss: what a WELCOME shows to be gone, on either side.
#pragma once

#include <belay/session/blocked.hpp>
#include <belay/session/greeting.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What a sender has, to be compared with what its receiver says.
struct SenderFacts {
    std::uint64_t acked = 0;
    std::uint64_t durable = 0;
    Id pinned_store{};
};

/// Why a session must not go on, and the error that says so.
struct StateLoss {
    Blocked blocked = Blocked::none;
    SessionErrc error{};
};

/// Compares the numbers. Where they agree, the checks at `w.applied` must agree too.
/// Source: docs/session-protocol.md, section 5.1.
[[nodiscard]] constexpr StateLoss detect_state_loss(const SenderFacts& mine,
                                                    const session_format::Welcome& w) noexcept {
    if (mine.pinned_store != no_id && (mine.pinned_store != w.store || !w.known)) {
        return {Blocked::receiver_lost_state, SessionErrc::store_changed};
    }
    if (!w.known) return {};
    if (w.applied < mine.acked) {
        return {Blocked::receiver_rolled_back, SessionErrc::rolled_back_receiver};
    }
    if (w.applied > mine.durable) {
        return {Blocked::sender_rolled_back, SessionErrc::rolled_back_sender};
    }
    return {};
}

}}}  // namespace belay::detail
