// SPDX-License-Identifier: MIT
/// \file belay/room/detail/pending_event.hpp
/// PendingEvent: a notification, or an answer, that a RoomManager delivers at the end of its turn.
#pragma once

#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move, std::forward
#include <variant>       // std::variant

#include <belay/core/completion.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The answer to a call on a whole room. Its function may call the manager, or destroy it.
template <class V>
struct PendingAnswer {
    /// With a V, or with arguments of its constructor.
    template <class T>
    PendingAnswer(Completion<V>&& to, T&& result)
        : done{std::move(to)}, value{std::forward<T>(result)} {}

    Completion<V> done;
    V value;
};

/// An erase or a reset whose answer waits for a flush. Without `done`: a client waits for its end.
struct PendingAdmin {
    std::string room_id{};
    std::optional<Completion<PersistenceError>> done{};
};

/// An event for the observer, or an answer to a call. An error code means that the manager stopped.
using PendingEvent =
    std::variant<RoomRejection, RoomDivergence, RoomFailure, RoomEvent, RoomEvent::Stateless,
                 std::error_code, PendingAnswer<PersistenceError>,
                 PendingAnswer<Result<std::optional<StoredRoom>, PersistenceError>>,
                 PendingAnswer<Result<std::vector<std::string>, PersistenceError>>>;

}}}  // namespace belay::detail
