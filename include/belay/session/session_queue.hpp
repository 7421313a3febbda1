// SPDX-License-Identifier: MIT
/// \file belay/session/session_queue.hpp
/// SessionQueueLike: a Queue whose storage is a journal, and that never drops operations.
#pragma once

#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::declval

#include <belay/journal/log_like.hpp>
#include <belay/queue/queue.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class Q>
using JournalOf = std::remove_cvref_t<decltype(std::declval<Q&>().storage())>;

template <class Q>
concept HasJournal = requires(Q& queue) { queue.storage(); } && LogLike<JournalOf<Q>>;
template <class Q>
concept NeverDrops = requires {
    { Q::drops } -> std::same_as<const bool&>;
} && !Q::drops;
template <class Q>
concept PushesBytes = requires(Q& queue, BytesView operation) {
    { queue.push(operation) } -> std::same_as<std::error_code>;
};

/// The queue of a Session: `Queue<Journal<...>>`, with a limit, and with an overflow policy that
/// rejects or blocks.
template <class Q>
concept SessionQueueLike = HasJournal<Q> && NeverDrops<Q> && PushesBytes<Q>;

}  // namespace detail

namespace explain {

/// Names every requirement of SessionQueueLike that Q lacks.
template <class Q>
consteval bool session_queue() {
    static_assert(detail::HasJournal<Q>,
                  "Session: the queue must be a Queue over a LogLike storage, such as Journal");
    static_assert(
        detail::NeverDrops<Q>,
        "Session: the queue must not drop operations, because each must be delivered exactly once");
    static_assert(!detail::HasJournal<Q> || detail::PushesBytes<Q>,
                  "Session: the queue must take belay::BytesView");
    return detail::SessionQueueLike<Q>;
}

}  // namespace explain

}}  // namespace belay
