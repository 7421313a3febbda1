// SPDX-License-Identifier: MIT
/// \file belay/session/blocked.hpp
/// Blocked, BlockedDetails: the reason why a session stopped sending, with the facts.
#pragma once

#include <string_view>  // std::string_view

#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The reason why a session does not send, although it is connected or could be.
///
/// The session never continues by guessing.
enum class Blocked : std::uint8_t {
    none,
    receiver_lost_state,   ///< another store, or one that forgot this sender: acknowledged
                           ///< operations may be lost
    receiver_rolled_back,  ///< the receiver was restored from an older copy: it lost what it had
                           ///< acknowledged
    sender_rolled_back,    ///< this journal was restored from an older copy, or lost a tail
    diverged,              ///< both sides have different operations with the same number
    fenced,                ///< a clone of this sender attached later
    too_large,             ///< the next operation is larger than the receiver accepts
    journal_failed         ///< the sender's own journal failed; see its error
};

/// Returns the name of a reason, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Blocked blocked) noexcept {
    constexpr std::string_view names[] = {
        "none",   "receiver_lost_state", "receiver_rolled_back", "sender_rolled_back", "diverged",
        "fenced", "too_large",           "journal_failed"};
    const auto i = static_cast<std::size_t>(blocked);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

/// The facts about a blocked session; the lost operations lie between these numbers.
struct BlockedDetails {
    std::uint64_t acked = 0;             ///< the last number acknowledged and released here
    std::uint64_t last = 0;              ///< the highest durable number here
    std::uint64_t applied = 0;           ///< the last number that the receiver reports
    std::uint64_t attach = 0;            ///< if fenced: the attach number of the new sender
    Id pinned_store{};                   ///< the store to which this journal belongs
    Id receiver_store{};                 ///< the store that answered
    Id replaced_journal{};               ///< the journal that this one replaces at the receiver
    std::uint64_t replaced_applied = 0;  ///< the last number that the receiver had of that journal
};

}}  // namespace belay
