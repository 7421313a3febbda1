// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_server_like.hpp
/// SyncServerLike: takes the operations of a Replica, and lists what changed.
#pragma once

#include <concepts>  // std::same_as
#include <cstddef>   // std::size_t
#include <span>      // std::span

#include <belay/core/result.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/sync_result.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class S, class Op>
concept HasSend = requires(S& server, std::span<const Op> batch) {
    { server.send(batch) } -> std::same_as<Result<SyncResult<Op>>>;
};
template <class S, class Op>
concept HasChanges = requires(S& server, const part::StoreCursor& since) {
    { server.changes(since) } -> std::same_as<Result<part::ChangesPage<typename Op::value_type>>>;
};

}  // namespace detail

namespace part {

/// The most empty pages in a row that are not the last one of a server. A Replica accepts no more,
/// so that a server cannot hold Replica::sync for ever.
inline constexpr std::size_t empty_pages_max = 100;

/// The server of one session, as a Replica uses it.
///
/// - `send(batch) -> Result<SyncResult<Op>>`: applies the operations, each once, in their order.
///   The result accounts for each of them. A failed operation may hold back later ones on its
///   element (held_back); an interaction holds none back, and is not held back. An error means that
///   the outcome is unknown, and the Replica sends the same operations again.
/// - `changes(cursor) -> Result<ChangesPage<value_type>>`: returns the next page after the cursor.
///   It includes the effects of all operations that `send` has returned. A server that has no list
///   of changes returns a copy of everything: one page with `begins_copy`, and a cursor without
///   store. A page with `more` should have changes: after empty_pages_max without any in a row, the
///   Replica's error is endless_changes. If the cursor is of another store, or ahead of this one,
///   that is no error: a copy begins. The page then has `other_history`, if the server's cursors
///   have an epoch.
///
/// Both may throw; the exception leaves Replica::sync, and nothing is lost.
template <class S, class Op>
concept SyncServerLike = detail::HasSend<S, Op> && detail::HasChanges<S, Op>;

}  // namespace part

namespace explain {

/// Names every requirement of part::SyncServerLike that S lacks.
template <class S, class Op>
consteval bool sync_server_like() {
    static_assert(detail::HasSend<S, Op>,
                  "SyncServerLike: S needs 'belay::Result<belay::SyncResult<Op>> "
                  "send(std::span<const Op>)', or be a SyncProcessor; see "
                  "docs/how-to/server-of-a-replica.md");
    static_assert(
        detail::HasChanges<S, Op>,
        "SyncServerLike: S needs 'belay::Result<belay::part::ChangesPage<value>> "
        "changes(const belay::part::StoreCursor&)'; see docs/how-to/server-of-a-replica.md");
    return part::SyncServerLike<S, Op>;
}

}  // namespace explain

}}  // namespace belay
