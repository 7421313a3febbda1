// SPDX-License-Identifier: MIT
/// \file belay/room/room_options.hpp
/// RoomOptions: the limits and times of a RoomManager. RoomCloseCodes: its codes for rejected
/// clients.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/link/heartbeat_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The WebSocket codes for clients that are rejected, which are 1008, 1009, or 3000 to 4999.
struct RoomCloseCodes {
    int unauthorized = 4001;  ///< the user is not known
    int forbidden = 4003;     ///< the user is known, and has no right to the room
    /// A frame or an update exceeds a limit. The client would send the same one again after it has
    /// connected again, so this is a code at which clients stop, as 413 of HTTP. At 1009 Yjs's own
    /// clients connect again, for ever.
    int too_large = 4413;
};

/// Returns codes at which Yjs's own clients stop.
///
/// At any code below 4400 they connect again, for ever.
[[nodiscard]] constexpr RoomCloseCodes yjs_close_codes() noexcept { return {4401, 4403, 4413}; }

/// The limits and times of a RoomManager.
///
/// All durations must be > 0ns, and all limits > 0. `no_limit` is a limit that is never reached.
struct RoomOptions {
    /// The codes for clients that are rejected.
    RoomCloseCodes close_codes{};

    /// A room is saved when it has not changed for this long. A room that goes on changing is saved
    /// at most six times as long after its first unsaved change. Until then the change is durable
    /// as an update in the storage.
    Duration save_after = std::chrono::seconds{5};
    /// The maximum number of loads that are under way at a time, over all rooms. Further ones wait,
    /// and their users take turns. A sixteenth as many saves are under way at a time, but at least
    /// 4, or loads_max if that is less. All loads for import_room and get_or_create_room are those
    /// of one user. An export_room of a room that is not in memory loads at once, as one of at most
    /// 100 calls, and is not in RoomCounters::loads.
    std::size_t loads_max = 64;
    /// How long a room without clients stays in memory after its last activity. The next sweep then
    /// evicts it. There is a sweep in each sixth of this time.
    Duration unload_after = std::chrono::minutes{30};

    /// A load, flush, save or list that the storage does not answer within this time has failed.
    /// The time of a load or a save begins when it is under way. A load that waits for loads_max
    /// for twice as long is rejected: its clients are closed with 1013.
    Duration answer_within = std::chrono::seconds{30};
    /// A check that an authorizer does not answer within this time rejects the client. A connection
    /// whose upgrade takes longer is ended, and one whose protocol has tokens in messages is closed
    /// if it has no document for this long.
    Duration check_within = std::chrono::seconds{10};
    /// stop() ends after this time, even if something has not been saved.
    Duration stop_within = std::chrono::seconds{20};
    /// If a client is silent for `every`, the manager requests a sign of life. After `dead_after`
    /// of silence it removes the client. Yjs's own clients send something every 15 s, and expect to
    /// receive something every 30 s.
    HeartbeatOptions heartbeat{std::chrono::seconds{20}, std::chrono::seconds{45}};

    /// The maximum number of rooms in memory. For a further one the manager evicts the room that
    /// has been idle for longest. If there is none, it evicts one without clients whose saves fail,
    /// or whose save has not begun. Such a room is loaded again with its changes. The last choice
    /// is one that a shared storage may lack in part. Otherwise it rejects the client.
    std::size_t rooms_max = 10'000;
    /// The maximum number of clients of all rooms, including those that wait to join. A user who
    /// has several documents open counts as several clients. A closed client whose connection has
    /// not ended does not count. It ends at once if its place is needed.
    std::size_t clients_max = 20'000;
    /// The share of one user, over all its connections: the maximum number of its clients. A
    /// further one is rejected. A client counts from the grant of its access until it is closed.
    /// The other limits of a user follow from it. Each is at least 16, or all of it if it is less
    /// than 16:
    /// - Half as many rooms in memory that the user has opened. For a further one the manager
    ///   evicts the room of that user that has been idle for longest. If there is none, it evicts
    ///   one without clients whose saves fail, or whose save has not begun. Otherwise it rejects
    ///   the client. A room counts until it is evicted.
    /// - A tenth as many clients in one room.
    /// - A twentieth as many clients of one connection, and at most 100, if its protocol allows
    ///   several documents: each of them is a client.
    ///
    /// Users without a name count by RoomRequest::ip. An IPv6 network of 64 bits counts as one
    /// address. Clients without a name and an address count by their connection. Set the option to
    /// no_limit if many such users share an address, as behind a proxy that does not forward it. If
    /// there are several servers, a user has this share on each one.
    std::size_t clients_per_user_max = 2'000;
    /// The maximum number of clients of one room.
    std::size_t clients_per_room_max = 1'000;
    /// The maximum number of clients that are being checked, or wait for a room that is being
    /// loaded. A further one takes the place of a client of the user who has most of them. It is
    /// rejected if no other user has more than its own. Before its access is granted, it counts for
    /// its address. At most a tenth as many clients, and at least one, are checked by reauthorize()
    /// at a time.
    std::size_t waiting_max = 1'000;
    /// The maximum number of bytes of a client's message.
    std::size_t frame_bytes_max = std::size_t{16} << 20;
    /// The rate at which messages of one connection are read, in bytes per second. The bytes of
    /// four seconds are read at once, and further messages later. State vectors of one user are
    /// answered at the same rate, over all its clients. A message costs its bytes and the time that
    /// the server needs for it, as the bytes that it could read in that time:
    /// - 256 bytes for each message, and 64 KiB for a token, which the authorizer checks;
    /// - 16 bytes for each client that receives an update or an awareness;
    /// - 16 bytes for each awareness state that a query requests;
    /// - 4 KiB for a state vector, and for each 64 KiB of the document as much again;
    /// - twice as much for an edit for which a full document is compacted;
    /// - the same for a join that must merge the document, and 4 KiB for any other one.
    ///
    /// These costs are fixed, so that a test is limited as the server is.
    ///
    /// A join and an answer of a document that must be merged cost a user as much as above; another
    /// answer costs what is sent. A join never waits. An edit for which a full document is
    /// compacted counts, too; the connection of that edit is then read later. Users without a name
    /// at one address have eight times as much together.
    std::size_t read_rate_max = std::size_t{2} << 20;
    /// The maximum number of bytes of updates that wait to be sent to one client, in addition to
    /// one update. Awareness (who is here) never waits.
    /// - Half of it may wait in the client's connection; the manager calls `limit_output` for that.
    ///   A connection without that member holds what it holds, in addition.
    /// - Above the limit the client lags: further updates do not wait. When it has accepted those
    ///   that wait, it receives the difference in parts of half of the limit, each one when it has
    ///   accepted the part before.
    /// - If a connection has several documents, the limit also applies to what it has sent and the
    ///   manager cannot process yet. That is frames for documents that it is not admitted to yet,
    ///   or that are being loaded again, and state vectors. Above the limit nothing more is read;
    ///   the last frame may exceed it.
    /// - Answers, and updates that are longer than half of the limit, are sent in pieces. A piece
    ///   is a sixteenth of the limit, but from 1 KiB to 64 KiB, if the protocol and the document
    ///   can split them. All clients share the pieces of an update. A value that cannot be cut is
    ///   one piece. Awareness is always sent in pieces, each with at least one state.
    std::size_t client_bytes_max = std::size_t{1} << 20;
    /// The maximum number of bytes of answers to state vectors that wait to be sent, over all
    /// clients. Answers of documents of more than a megabyte have a second limit of the same size
    /// for themselves. A user has at most three times as much of it as is left, and one answer.
    /// Further answers are sent later, in the order in which they were requested. If one of these
    /// needs the space, a client that has had an answer under way for heartbeat.dead_after is
    /// closed.
    std::size_t answers_bytes_max = std::size_t{256} << 20;
    /// The maximum number of bytes of changes of one room that wait to become durable. A client
    /// that sends more is closed, and may connect again. A change of a user is accepted if the user
    /// then has at most three times as many bytes in the room as are left. If no other change of
    /// the user waits in the room, it must only fit. An update that alone is longer than the limit
    /// is rejected as too large. The same limit applies to imports that wait for their room, and to
    /// the changes of one user in all rooms. If no other change of the user waits, one is accepted.
    std::size_t unflushed_bytes_max = std::size_t{32} << 20;

    /// Whether other clients see the awareness of clients that may not edit.
    bool viewers_awareness = true;
    /// The maximum number of bytes of the awareness states of one client, over all its ids. A state
    /// that would exceed it is ignored, and the former one stays.
    std::size_t awareness_bytes_max = std::size_t{16} << 10;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (const auto wrong = check_durations(); !wrong.empty()) return wrong;
        if (!closes(close_codes.unauthorized) || !closes(close_codes.forbidden) ||
            (!closes(close_codes.too_large) && close_codes.too_large != 1009)) {
            return "RoomOptions: close_codes must be 1008 (too_large: or 1009) or from 3000 to "
                   "4999; instead of the HTTP status 401 use 4401";
        }
        if (const auto wrong = check_limits(); !wrong.empty()) return wrong;
        return heartbeat.check();
    }

private:
    template <class T>
    struct Positive {
        T value;
        std::string_view sentence;
    };
    [[nodiscard]] constexpr std::string_view check_durations() const noexcept {
        for (const auto& [value, sentence] :
             {Positive<Duration>{save_after, "RoomOptions: save_after must be > 0ns"},
              {unload_after, "RoomOptions: unload_after must be > 0ns"},
              {answer_within, "RoomOptions: answer_within must be > 0ns"},
              {check_within, "RoomOptions: check_within must be > 0ns"},
              {stop_within, "RoomOptions: stop_within must be > 0ns"}}) {
            if (value <= Duration::zero()) return sentence;
        }
        return {};
    }
    [[nodiscard]] constexpr std::string_view check_limits() const noexcept {
        for (const auto& [value, sentence] :
             {Positive<std::size_t>{rooms_max, "RoomOptions: rooms_max must be > 0"},
              {clients_max, "RoomOptions: clients_max must be > 0"},
              {clients_per_user_max, "RoomOptions: clients_per_user_max must be > 0"},
              {clients_per_room_max, "RoomOptions: clients_per_room_max must be > 0"},
              {waiting_max, "RoomOptions: waiting_max must be > 0"},
              {loads_max, "RoomOptions: loads_max must be > 0"},
              {frame_bytes_max, "RoomOptions: frame_bytes_max must be > 0"},
              {read_rate_max, "RoomOptions: read_rate_max must be > 0"},
              {client_bytes_max, "RoomOptions: client_bytes_max must be > 0"},
              {answers_bytes_max, "RoomOptions: answers_bytes_max must be > 0"},
              {unflushed_bytes_max, "RoomOptions: unflushed_bytes_max must be > 0"},
              {awareness_bytes_max, "RoomOptions: awareness_bytes_max must be > 0"}}) {
            if (value == 0) return sentence;
        }
        return {};
    }
    [[nodiscard]] static constexpr bool closes(int code) noexcept {
        return code == 1008 || (code >= 3000 && code <= 4999);
    }
};

}}  // namespace belay
