// SPDX-License-Identifier: MIT
/// \file belay/session/session_errc.hpp
/// SessionErrc: the errors of the session protocol.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Errors of the session protocol; category "belay.session".
///
/// 1 to 13, and 19, are codes of ERROR frames.
enum class SessionErrc {
    protocol = 1,         ///< a frame that is damaged, unknown, too long, or not allowed here
    version = 2,          ///< the two sides support no common version of the protocol
    unauthorized = 3,     ///< the credentials are not accepted
    forbidden = 4,        ///< the credentials do not own this sender id
    fenced = 5,           ///< another process attached later with this sender's identity
    store_changed = 6,    ///< the receiver's store is not the one that this journal is pinned to
    unknown_journal = 7,  ///< the receiver should know this journal, but does not
    gap = 8,              ///< an operation is missing before this one
    too_large = 9,        ///< the operation is larger than the receiver accepts
    overloaded = 10,      ///< the receiver is overloaded; try again later
    draining = 11,        ///< the receiver is draining; try again later, elsewhere if possible
    superseded = 12,      ///< a newer connection of the same sender took over
    storage = 13,         ///< the receiver could not store what it was sent
    receiver_rolled_back = 14,  ///< the receiver lost operations that it had acknowledged
    sender_rolled_back = 15,    ///< the receiver has operations that this journal never had
    diverged = 16,              ///< both sides have different operations with the same number
    journal_failed = 17,        ///< the sender's own journal failed; see its error
    silent = 18,                ///< the peer did not answer in time
    /// The receiver rejects the sender, because it was started too often since its last recorded
    /// operation. Authorize it there, or move to a new journal.
    far_ahead = 19,
    takes_no_more = 20,   ///< drain() was called: nothing is accepted until the session has stopped
    token_too_long = 21,  ///< SessionOptions::token is longer than 4 KiB; nothing was sent
    hello_rejected = 22,  ///< the transport can never carry the first message of a session
    not_sent = 23         ///< an acknowledgement of a message that the outbox has not sent
};

namespace detail {
inline constexpr ErrorText session_error_texts[] = {
    {"the peer broke the session protocol, or the data was damaged", Cause::protocol},
    {"there is no common version of the session protocol", Cause::permanent},
    {"the credentials were not accepted", Cause::unauthorized},
    {"the credentials do not own this sender id", Cause::unauthorized},
    {"another process took over this sender's identity", Cause::permanent},
    {"the receiver's store was replaced, or another server answered, with a store of its own",
     Cause::permanent},
    {"the receiver no longer knows this journal", Cause::permanent},
    {"an operation is missing before this one", Cause::protocol},
    {"the operation is larger than the receiver accepts", Cause::permanent},
    {"the receiver is overloaded", Cause::overloaded},
    {"the receiver is draining", Cause::overloaded},
    {"a newer connection of the same sender took over", Cause::lost},
    {"the receiver could not store an operation", Cause::lost},
    {"the receiver lost operations that it had acknowledged", Cause::permanent},
    {"the receiver has operations that this journal never had", Cause::permanent},
    {"the sender and the receiver have different operations with the same number",
     Cause::permanent},
    {"the sender's own journal failed", Cause::permanent, FailureOrigin::local},
    {"the peer did not answer in time", Cause::timed_out, FailureOrigin::silent},
    {"the receiver rejects the number of starts of this sender: authorize the sender there, or "
     "move to a new journal",
     Cause::refused},
    {"the session is draining, and accepts no more operations", Cause::refused,
     FailureOrigin::local},
    {"the session's token is longer than 4 KiB: shorten SessionOptions::token", Cause::permanent,
     FailureOrigin::local},
    {"the transport rejected the session's first message: it must carry any bytes, not only text, "
     "and "
     "messages of 8 KiB",
     Cause::permanent, FailureOrigin::local},
    {"the outbox has not sent the acknowledged message, or removes messages without "
     "acknowledgements: pass a number that on_sent has reported, with at_least_once",
     Cause::refused, FailureOrigin::local},
};

/// Returns the category of SessionErrc.
[[nodiscard]] inline const std::error_category& session_category() noexcept {
    static const TableCategory category{"belay.session", session_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code of a SessionErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(SessionErrc e) noexcept {
    return {static_cast<int>(e), detail::session_category()};
}

/// Returns the failure for a SessionErrc.
[[nodiscard]] inline Failure failure_of(SessionErrc e, Duration retry_after = {}) noexcept {
    return Failure::from(make_error_code(e), retry_after);
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::SessionErrc> : std::true_type {};
