// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_errc.hpp
/// SyncErrc: the reasons, other than conflicts, why an operation was not applied.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Reasons why an operation failed; category "belay.sync".
///
/// Stores return these codes, or codes of their own. An operation is tried again if time may remove
/// the cause: `lost`, `refused`, `timed_out` or `overloaded`. Only `bad_operation` and `id_reused`
/// end an operation. All other errors leave it undecided, so its sender keeps it.
enum class SyncErrc {
    store_busy = 1,    ///< the store accepts nothing now; try again
    store_failed = 2,  ///< the store could not read or write; try again
    /// No id, or the former id as its id; no origin; element id empty or too long.
    bad_operation = 3,
    unknown_session = 4,  ///< the store has no such session, and does not create one
    too_old = 5,          ///< the element may have been removed, and its tombstone forgotten
    /// An operation with other contents had this id; also the same one, stamped anew.
    id_reused = 6,
    held_back = 7,         ///< an earlier operation on the same element waits for its retry
    store_full = 8,        ///< the store has as many elements as it may have
    store_threw = 9,       ///< the store threw an exception
    store_corrupt = 10,    ///< what the store has is damaged
    store_disagrees = 11,  ///< the store contradicts what it returned before
    pending_full = 12,     ///< as many operations are pending as are allowed
    local_threw = 13,      ///< the local side of a bridge threw an exception
    unanswered = 14,       ///< the remote side of a bridge, or an exchange, gave no answer
    end_of_time = 15,      ///< no stamp is above the one that is there
    from_the_future = 16,  ///< the stamp is too far ahead of this processor's wall clock
    store_closed = 17,     ///< the store is closed, and accepts nothing until it is opened again
    pending_expired = 18,  ///< the operation was pending for longer than is allowed
    replica_full = 19,     ///< a Replica has as many undecided or kept edits as are allowed
    other_store = 20,      ///< the server's store is another one, or an older state of it
    scene_changed = 21,    ///< the remote has another scene than the one that a push replaces
    not_loaded = 22,       ///< a Replica has not read its journal: load() comes first
    endless_changes = 23,  ///< a server sends empty pages of changes, and no end of them
    unreadable = 24        ///< the codec rejects the value of an edit, or of a version, in the log
};

namespace detail {
inline constexpr ErrorText sync_error_texts[] = {
    {"the store is busy", Cause::overloaded},
    {"the store could not read or write", Cause::lost},
    {"the operation is malformed", Cause::permanent},
    {"there is no such session", Cause::permanent},
    {"the operation is older than the removals that the store remembers", Cause::permanent},
    {"another operation had this id", Cause::permanent},
    {"an earlier operation on the same element waits for its retry", Cause::overloaded},
    {"the store is full", Cause::permanent},
    {"the store threw an exception", Cause::lost},
    {"the store is damaged", Cause::corrupt},
    {"the store contradicts what it said before", Cause::permanent},
    {"too many operations are pending", Cause::overloaded},
    {"the local side of the bridge threw an exception", Cause::lost},
    {"the remote side gave no answer", Cause::lost},
    {"the stamp is at the end of time, and no stamp is above it", Cause::permanent},
    {"the stamp is too far ahead of the clock here; wait, or stamp the operation again",
     Cause::overloaded},
    {"the store is closed; send the operation again when it is open", Cause::overloaded},
    {"the operation was pending for too long, and was removed; send it again or drop it",
     Cause::overloaded},
    {"the replica has as many edits as are allowed; sync, or send or drop those that are kept",
     Cause::overloaded},
    {"the server has another store than before, or an older state of it; see "
     "docs/explanation/replica.md",
     Cause::permanent},
    {"the remote has another scene than the one that the push replaces", Cause::permanent},
    {"the replica has not read its journal; call load() first, and check its result",
     Cause::permanent},
    {"the server sends empty pages and no end of them; mend its changes(), see "
     "docs/how-to/server-of-a-replica.md",
     Cause::protocol},
    {"this program cannot read the value of the edit", Cause::corrupt},
};

/// Returns the category of SyncErrc.
[[nodiscard]] inline const std::error_category& sync_category() noexcept {
    static const TableCategory category{"belay.sync", sync_error_texts};
    return category;
}

/// Returns whether the same call may succeed later.
[[nodiscard]] inline bool may_heal(const std::error_code& error) noexcept {
    const Cause cause = cause_of(error);
    return cause != Cause::none && cause < Cause::protocol;
}
/// Returns whether the value of an element cannot be read, as with the codec of another program.
[[nodiscard]] inline bool is_unreadable(const std::error_code& error) noexcept {
    return cause_of(error) == Cause::corrupt;
}
}  // namespace detail

/// Makes a std::error_code of a SyncErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(SyncErrc e) noexcept {
    return {static_cast<int>(e), detail::sync_category()};
}

namespace detail {

/// Calls a part of the user's. Its exception is the error `thrown` of this call.
template <class Call>
[[nodiscard]] auto ask_user(Call&& call, SyncErrc thrown = SyncErrc::store_threw)
    -> decltype(call()) {
#if defined(__cpp_exceptions)
    try {
        return call();
    } catch (...) {
        return make_error_code(thrown);
    }
#else
    static_cast<void>(thrown);
    return call();
#endif
}

}  // namespace detail

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::SyncErrc> : std::true_type {};
