// SPDX-License-Identifier: MIT
/// \file belay/room/room_observer.hpp
/// The hooks of a RoomManager's observer, also without the manager in front:
/// `on_refused(auto& rooms, const RoomRefusal&)`, `on_divergence(auto& rooms, const
/// RoomDivergence&)`, `on_room_failed(auto& rooms, const RoomFailure&)`,
/// `on_room_event(auto& rooms, const RoomEvent&)`, `on_stopped(auto& rooms, std::error_code)`.
///
/// They run on the home thread, at the end of a turn, may call every command of the manager, and
/// destroy it. What one throws leaves the `advance` that ran it.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/observer.hpp>
#include <belay/room/persistence_error.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A client of a RoomManager, for as long as the manager lives; none by default.
struct RoomClientId {
    std::uint64_t value = 0;
    friend constexpr bool operator==(RoomClientId, RoomClientId) noexcept = default;
};

/// What a room, or a client of it, has come to: `on_room_event`, in the order in which it happened.
struct RoomEvent {
    enum class Kind : std::uint8_t {
        loaded,   ///< the room is here: the first of its events
        joined,   ///< a client is in the room
        left,     ///< it is no more, whatever the reason
        changed,  ///< once for many changes: when they are to be saved, see RoomOptions::save_after
        saved,    ///< all that `changed` has told is in a snapshot
        unloaded  ///< the room is not here any more: the last of its events
    };
    Kind kind{};
    std::string board{};
    std::string user{};       ///< who joined or left
    RoomClientId client{};    ///< likewise
    std::size_t clients = 0;  ///< in the room, after it
};

/// The kind as a word: "joined".
[[nodiscard]] constexpr std::string_view to_string(RoomEvent::Kind kind) noexcept {
    constexpr std::string_view words[] = {"loaded",  "joined", "left",
                                          "changed", "saved",  "unloaded"};
    const auto i = static_cast<std::size_t>(kind);
    return i < sizeof words / sizeof words[0] ? words[i] : "unknown";
}

/// A client that was not let in, or was closed for a reason of its own: `on_refused`. Never with
/// its token.
struct RoomRefusal {
    std::string board;
    std::string user;  ///< empty: not known, or not yet
    std::string ip;
    std::error_code error;  ///< of RoomErrc, or what a document or a protocol has found
};

/// A client that has something, and nothing in common with a room that has something: it began the
/// document by itself, or the room was begun anew. Both are joined: `on_divergence`.
struct RoomDivergence {
    std::string board;
    std::string user;
};

/// A load, flush, append or save that failed: `on_room_failed`.
struct RoomFailure {
    std::string board;  ///< empty: of all rooms, a flush
    PersistenceError error;
};

namespace detail {

BELAY_DETAIL_HOOK(OnDivergence, on_divergence);
BELAY_DETAIL_HOOK(OnRoomFailed, on_room_failed);
BELAY_DETAIL_HOOK(OnRoomEvent, on_room_event);
BELAY_DETAIL_HOOK(OnStopped, on_stopped);

/// What a RoomManager M tells.
template <class M>
struct RoomHooks {
    using Refused = Hook<OnRefused, M, const RoomRefusal&>;
    using Divergence = Hook<OnDivergence, M, const RoomDivergence&>;
    using Failed = Hook<OnRoomFailed, M, const RoomFailure&>;
    using Event = Hook<OnRoomEvent, M, const RoomEvent&>;
    using Stopped = Hook<OnStopped, M, std::error_code>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Refused::template right<O>,
                      "RoomManager: the observer's on_refused must be 'on_refused(const "
                      "belay::RoomRefusal&)', or have 'auto& rooms' in front of that");
        static_assert(Divergence::template right<O>,
                      "RoomManager: the observer's on_divergence must be 'on_divergence(const "
                      "belay::RoomDivergence&)', or have 'auto& rooms' in front of that");
        static_assert(Failed::template right<O>,
                      "RoomManager: the observer's on_room_failed must be 'on_room_failed(const "
                      "belay::RoomFailure&)', or have 'auto& rooms' in front of that");
        static_assert(Event::template right<O>,
                      "RoomManager: the observer's on_room_event must be 'on_room_event(const "
                      "belay::RoomEvent&)', or have 'auto& rooms' in front of that");
        static_assert(Stopped::template right<O>,
                      "RoomManager: the observer's on_stopped must be 'on_stopped("
                      "std::error_code)', or have 'auto& rooms' in front of that");
        static_assert(hears_any_of<O, Refused, Divergence, Failed, Event, Stopped>,
                      "RoomManager: the observer hears nothing: it needs one of on_refused, "
                      "on_divergence, on_room_failed, on_room_event, on_stopped; one that may "
                      "hear nothing derives from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

}}  // namespace belay
