// SPDX-License-Identifier: MIT
/// \file belay/session/blocked.hpp
/// Blocked and BlockedDetails: why a session stopped sending, and what is known about it.
#pragma once

#include <string_view>  // std::string_view

#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Why a session does not send, although it is connected or could be. Nothing goes on by guessing.
enum class Blocked : std::uint8_t {
    none,
    receiver_lost_state,   ///< another store, or one that forgot us: what was acknowledged may be
                           ///< gone
    receiver_rolled_back,  ///< it was restored from an older copy: it lost what it had acknowledged
    sender_rolled_back,    ///< this journal was restored from an older copy, or lost a tail
    diverged,              ///< both sides mean different operations by the same number
    fenced,                ///< a clone of this sender attached later than we did
    too_large,             ///< the next operation is larger than the receiver accepts
    journal_failed         ///< our own disk; see the journal's error
};

/// The name of a reason, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Blocked blocked) noexcept {
    constexpr std::string_view names[] = {
        "none",   "receiver_lost_state", "receiver_rolled_back", "sender_rolled_back", "diverged",
        "fenced", "too_large",           "journal_failed"};
    const auto i = static_cast<std::size_t>(blocked);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

/// What is known when something is wrong; what was lost lies between these numbers.
struct BlockedDetails {
    std::uint64_t acked = 0;             ///< acknowledged and released here
    std::uint64_t last = 0;              ///< the highest durable number here
    std::uint64_t applied = 0;           ///< what the receiver says it has
    std::uint64_t attach = 0;            ///< of the other, if fenced
    Id pinned_store{};                   ///< the store this journal belongs to
    Id receiver_store{};                 ///< the store that answered
    Id replaced_journal{};               ///< the journal that ours replaces at the receiver
    std::uint64_t replaced_applied = 0;  ///< what the receiver had of that one
};

}}  // namespace belay
