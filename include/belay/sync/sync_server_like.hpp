// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_server_like.hpp
/// SyncServerLike: takes the operations of a Replica, and lists what changed.
/// ProcessorServer: a SyncProcessor in the same process as the server of a Replica.
#pragma once

#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <span>          // std::span
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_convertible_v, std::is_void_v, std::remove_cvref_t

#include <belay/core/result.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/store_like.hpp>
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

namespace detail {

template <class P>
concept ProcessesBatches = requires(P& processor, std::string_view session,
                                    std::span<const typename P::operation_type> batch) {
    processor.process_batch(session, batch);
    processor.store();
};

/// Calls `visit(id, value, stamp)` for each live element of a store.
template <class Store, class Visit>
[[nodiscard]] std::error_code visit_all(Store& store, std::string_view session, Visit&& visit) {
    if constexpr (std::is_void_v<decltype(store.for_each(session, visit))>) {
        store.for_each(session, visit);
        return {};
    } else {
        return store.for_each(session, visit);
    }
}
template <class R>
concept VoidOrError = std::is_void_v<R> || std::is_convertible_v<R, std::error_code>;
template <class Store>
concept HasForEach = requires(Store& store, std::string_view session) {
    {
        store.for_each(session, [](std::string_view, const ValueOfStore<Store>&, const Stamp&) {})
    } -> VoidOrError;
};

/// Models part::SyncServerLike. A store without changes_since gives copies of everything.
template <ProcessesBatches Processor>
class ProcessorServer {
public:
    using operation_type = typename Processor::operation_type;
    using value_type = typename operation_type::value_type;

    ProcessorServer(Processor& processor, std::string_view session, std::size_t most) noexcept
        : processor_{processor}, session_{session}, most_{most} {}

    [[nodiscard]] Result<SyncResult<operation_type>> send(std::span<const operation_type> batch) {
        return processor_.process_batch(session_, batch);
    }
    [[nodiscard]] Result<part::ChangesPage<value_type>> changes(const part::StoreCursor& since) {
        auto& store = processor_.store();
        using Store = std::remove_cvref_t<decltype(store)>;
        if constexpr (HasChangesSince<Store>) {
            return store.changes_since(session_, since, most_);
        } else {
            static_assert(HasForEach<Store>,
                          "Replica: the store of the SyncProcessor needs changes_since or "
                          "for_each(session, visit); see docs/explanation/replica.md");
            part::ChangesPage<value_type> page;
            page.begins_copy = true;
            const std::error_code error =
                visit_all(store, session_,
                          [&](std::string_view id, const value_type& value, const Stamp& stamp) {
                              page.changes.push_back({std::string{id}, stamp, value});
                          });
            if (error) return error;
            return page;
        }
    }

private:
    Processor& processor_;
    std::string_view session_;
    std::size_t most_;
};

}  // namespace detail

}}  // namespace belay
