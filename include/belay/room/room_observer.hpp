// SPDX-License-Identifier: MIT
/// \file belay/room/room_observer.hpp
/// RoomRejection, RoomDivergence, RoomFailure, RoomEvent: what the hooks of an observer of a
/// RoomManager receive.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/observer.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Identifies a client of a RoomManager for as long as the manager lives.
///
/// The default value is no client. If a connection carries several clients, they share the id that
/// `accept` returned for it.
struct RoomClientId {
    std::uint64_t value = 0;  ///< 0: no client
    friend constexpr bool operator==(RoomClientId, RoomClientId) noexcept = default;
};

/// An event of a room or of one of its clients, for `on_room_event`.
///
/// Events arrive in the order in which they happened. Many changes cause one `changed`, when they
/// are to be saved (see RoomOptions::save_after), or when the room is unloaded before that. `saved`
/// does not follow then. If the room is unloaded with `not_durable`, the storage may lack some.
struct RoomEvent {
    /// The kinds of events.
    enum class Kind : std::uint8_t {
        loaded,     ///< the room is in memory; the first of its events
        joined,     ///< a client has joined the room
        left,       ///< a client has left the room, for any reason
        changed,    ///< the document has changed, and is about to be saved or unloaded
        saved,      ///< all changes that `changed` reported are in a snapshot
        unloaded,   ///< the room is no longer in memory; the last of its events
        throttled,  ///< a client exceeded its rate of messages; they are read later
        /// A client that may not edit has sent an edit, and stays: once after each grant.
        /// RoomCounters::denials counts all of them. A full document is an `on_rejected`.
        denied
    };
    /// A message of a client to the server that is no part of the document, for `on_stateless`.
    /// Any client that has joined may send it, also one that may not edit.
    /// - The payload of a hocuspocus client is a text. Answer with
    ///   RoomManager::broadcast_stateless.
    /// - The payload of a y-websocket client is a whole frame of the application's own type.
    ///   Answer with RoomManager::broadcast.
    struct Stateless {
        std::string room_id;  ///< the room that the client has joined
        std::string user;     ///< the user of the client
        RoomClientId client;  ///< the id that `accept` returned
        std::string payload;  ///< bytes that the client chose: do not trust them
    };
    Kind kind{};  ///< decides which of the members below are set
    /// The room id. It is empty if a throttled connection carries several documents, and none of
    /// them has joined its room.
    std::string room_id{};
    std::string user{};       ///< the user that joined, left, is throttled, or was denied an edit
    RoomClientId client{};    ///< likewise
    std::size_t clients = 0;  ///< how many are in the room after the event
    /// Why the manager closed the client that left; no error if the client ended by itself.
    /// A client that showed no sign of life has client_silent, and one that remove_client closed
    /// has client_removed. For `denied`, it is forbidden. For `unloaded`, why the room left the
    /// memory:
    /// - no error: it was idle for RoomOptions::unload_after;
    /// - manager_stopped, room_erased or history_reset;
    /// - not_loaded: it could not be loaded, or something threw;
    /// - too_many: another room needed its place; it was idle for longest, or no room was idle, and
    ///   its saves fail, or its save had not begun;
    /// - too_many_of_user: likewise, and another room of the user that opened it needed its place;
    /// - not_durable: another room needed its place, and the storage may lack changes of it;
    /// - no_answer: it could not be saved within RoomOptions::stop_within.
    std::error_code reason{};
};

/// Returns the kind as a word, such as "joined".
[[nodiscard]] constexpr std::string_view to_string(RoomEvent::Kind kind) noexcept {
    constexpr std::string_view words[] = {"loaded", "joined",   "left",      "changed",
                                          "saved",  "unloaded", "throttled", "denied"};
    const auto i = static_cast<std::size_t>(kind);
    return i < sizeof words / sizeof words[0] ? words[i] : "unknown";
}

/// A client that was not admitted, or was closed because of an error, for `on_rejected`.
///
/// It never contains the client's token.
struct RoomRejection {
    std::string room_id;    ///< empty if it concerns a whole connection with several documents
    std::string user;       ///< empty if the user is not known, or not yet
    std::string ip;         ///< of the peer; empty if the request had none
    std::error_code error;  ///< of RoomErrc, of a document or a protocol; LinkErrc::open_threw
    /// The member of RoomOptions that limits the client, such as "clients_per_user_max". It is a
    /// text that stays valid; empty if the error has no option.
    std::string_view limit{};

    /// Returns the error as a text, with the option, such as "there are too many clients
    /// (RoomOptions::clients_max)".   Allocates: the text.   Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text = error.message();
        if (!limit.empty()) text.append(" (RoomOptions::").append(limit).append(")");
        return text;
    }
};

/// A client and a room that have content but nothing in common, for `on_divergence`. The hook is
/// called once for each client.
///
/// The client began the document by itself, or the room was begun anew. The two documents are
/// joined.
struct RoomDivergence {
    std::string room_id;  ///< the room whose document has two beginnings
    std::string user;     ///< the user of the client
};

/// A storage operation that failed, for `on_room_failed`.
///
/// The operation is a load, flush, append, save, reset, erase or subscription.
struct RoomFailure {
    std::string room_id;     ///< the room id; empty for a flush of all rooms
    PersistenceError error;  ///< of the storage; or why its data cannot be used
};

namespace detail {

BELAY_DETAIL_HOOK(OnDivergence, on_divergence);
BELAY_DETAIL_HOOK(OnRoomFailed, on_room_failed);
BELAY_DETAIL_HOOK(OnRoomEvent, on_room_event);
BELAY_DETAIL_HOOK(OnStateless, on_stateless);
BELAY_DETAIL_HOOK(OnStopped, on_stopped);

/// The hooks that a RoomManager M calls.
template <class M>
struct RoomHooks {
    using Rejected = Hook<OnRejected, M, const RoomRejection&>;
    using Divergence = Hook<OnDivergence, M, const RoomDivergence&>;
    using Failed = Hook<OnRoomFailed, M, const RoomFailure&>;
    using Event = Hook<OnRoomEvent, M, const RoomEvent&>;
    using Stateless = Hook<OnStateless, M, const RoomEvent::Stateless&>;
    using Stopped = Hook<OnStopped, M, std::error_code>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Rejected::template right<O>,
                      "RoomManager: the observer's on_rejected must be 'on_rejected(const "
                      "belay::RoomRejection&)', or have 'auto& rooms' in front of that");
        static_assert(Divergence::template right<O>,
                      "RoomManager: the observer's on_divergence must be 'on_divergence(const "
                      "belay::RoomDivergence&)', or have 'auto& rooms' in front of that");
        static_assert(Failed::template right<O>,
                      "RoomManager: the observer's on_room_failed must be 'on_room_failed(const "
                      "belay::RoomFailure&)', or have 'auto& rooms' in front of that");
        static_assert(Event::template right<O>,
                      "RoomManager: the observer's on_room_event must be 'on_room_event(const "
                      "belay::RoomEvent&)', or have 'auto& rooms' in front of that");
        static_assert(Stateless::template right<O>,
                      "RoomManager: the observer's on_stateless must be 'on_stateless(const "
                      "belay::RoomEvent::Stateless&)', or have 'auto& rooms' in front of that");
        static_assert(Stopped::template right<O>,
                      "RoomManager: the observer's on_stopped must be 'on_stopped("
                      "std::error_code)', or have 'auto& rooms' in front of that");
        static_assert(
            has_any_hook_of<O, Rejected, Divergence, Failed, Event, Stateless, Stopped>,
            "RoomManager: the observer has no hook: it needs one of on_rejected, "
            "on_divergence, on_room_failed, on_room_event, on_stateless, on_stopped. Derive an "
            "observer without hooks from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

}}  // namespace belay
