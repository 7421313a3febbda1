// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_notice.hpp
/// RoomNotice: what a RoomManager tells when its turn is over.
#pragma once

#include <system_error>  // std::error_code
#include <utility>       // std::move, std::forward
#include <variant>       // std::variant

#include <belay/core/completion.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An answer to somebody outside, whose function may call the manager, or destroy it.
template <class V>
struct RoomAnswer {
    /// With a V, or what one is made of.
    template <class Said>
    RoomAnswer(Completion<V>&& to, Said&& said)
        : done{std::move(to)}, value{std::forward<Said>(said)} {}

    Completion<V> done;
    V value;
};

/// What an observer, or who has asked, will hear when the manager is consistent; an error code: it
/// is stopped.
using RoomNotice = std::variant<RoomRefusal, RoomDivergence, RoomFailure, RoomEvent,
                                std::error_code, RoomAnswer<PersistenceError>,
                                RoomAnswer<Result<std::optional<StoredRoom>, PersistenceError>>,
                                RoomAnswer<Result<std::vector<std::string>, PersistenceError>>>;

}}}  // namespace belay::detail
