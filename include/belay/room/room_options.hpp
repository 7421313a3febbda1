// SPDX-License-Identifier: MIT
/// \file belay/room/room_options.hpp
/// RoomOptions: what a RoomManager is tuned by; and the codes with which it refuses clients.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/instant.hpp>
#include <belay/link/heartbeat_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// With which WebSocket codes a client learns that it may not come in: 1008, or 3000 to 4999.
struct RoomCloseCodes {
    int unauthorized = 4001;  ///< nobody that is known
    int forbidden = 4003;     ///< known, without the right
};

/// Codes at which Yjs's own clients stop: at any below 4400 they dial again, for ever.
[[nodiscard]] constexpr RoomCloseCodes yjs_close_codes() noexcept { return {4401, 4403}; }

/// What a RoomManager is tuned by. All durations are > 0ns, all limits > 0.
struct RoomOptions {
    RoomCloseCodes close_codes{};

    /// A change is saved when there was none for so long,
    Duration save_after = std::chrono::seconds{5};
    /// but at most so long after the first, which is no less; a log has it meanwhile.
    Duration save_within = std::chrono::seconds{30};
    /// Between a save that failed and the next: doubles from the first to the second, half of it
    /// by chance.
    Duration save_retry_min = std::chrono::seconds{1};
    Duration save_retry_max = std::chrono::minutes{1};
    /// So many saves are under way at a time, over all rooms; a flush may have to wait for them.
    /// When the manager stops there are as many as there are rooms.
    std::size_t saves_max = 4;
    /// A room without clients is kept so long after the last of them,
    Duration unload_after = std::chrono::minutes{30};
    /// and then until the next sweep.
    Duration sweep_every = std::chrono::minutes{5};

    /// A load, flush or save that is not answered for so long has failed.
    Duration answer_within = std::chrono::seconds{30};
    /// A check of an authorizer that is not answered for so long lets nobody in.
    Duration check_within = std::chrono::seconds{10};
    /// stop() is over after so long, whatever has not been saved.
    Duration stop_within = std::chrono::seconds{20};
    /// A client that says goodbye, or is told to go, is gone after so long.
    Duration linger_max = std::chrono::seconds{2};
    /// A client that is silent is asked for a sign of life, and removed. Yjs's own clients speak
    /// every 15 s, and want to hear something every 30 s.
    HeartbeatOptions heartbeat{std::chrono::seconds{20}, std::chrono::seconds{45}};

    /// Where tokens come in messages: a connection without a document is closed after so long,
    Duration token_within = std::chrono::seconds{10};
    /// and earlier if it has sent more before it sent a token, that included.
    std::size_t bytes_until_token = std::size_t{4} << 10;
    /// Of one connection, where it may have several.
    std::size_t documents_per_client_max = 100;

    std::size_t rooms_max = 10'000;
    /// Of all rooms, those that wait to come in included; who has several documents open is as
    /// many clients.
    std::size_t clients_max = 20'000;
    std::size_t clients_per_room_max = 1'000;
    /// Those that are checked, or wait for a room that is being loaded.
    std::size_t waiting_max = 1'000;
    /// Calls of erase, reset, list, export_room and import_room that wait for their answers.
    std::size_t calls_max = 100;
    /// Of a client's message.
    std::size_t frame_bytes_max = std::size_t{16} << 20;
    /// Messages of one client that wait to be read.
    std::size_t messages_max = 8;
    /// Messages of one client that are read before the next client's turn.
    unsigned frames_per_turn_max = 16;
    /// Further messages of a client are read later. A state vector costs as many messages as its
    /// answer has pieces at most.
    unsigned frames_per_second = 500;
    unsigned frames_burst = 2'000;
    /// Updates that wait for one client to be sent, beside a frame; who is here never does. Half of
    /// it is its connection's (`limit_output`; one that has no such member holds what it holds,
    /// beside). Beyond it the client gets no more of them, but once what it has missed, in one; if
    /// that does not fit either it is closed. What it has sent of documents that it is not let into
    /// yet, or that are loaded again, waits until there is so much of it, and so do its state
    /// vectors, where it has several documents: the last frame may go beyond.
    std::size_t client_bytes_max = std::size_t{1} << 20;
    /// Answers to state vectors that wait to be sent, of all clients; those of documents of more
    /// than a megabyte have as much again for themselves. Further ones come later, in the order in
    /// which they were asked for: who has had one under way for heartbeat.dead_after is closed when
    /// it needs the place.
    std::size_t answers_bytes_max = std::size_t{256} << 20;
    /// Updates that are longer are sent in pieces, where the protocol can; who is here always,
    /// with one state in each at least. >= 1 KiB.
    std::size_t piece_bytes_max = std::size_t{64} << 10;
    /// Changes of one room that wait to become durable; who sends more is closed, and may come
    /// again, but for one that is longer by itself. Of imports that wait for their room likewise.
    std::size_t unflushed_bytes_max = std::size_t{32} << 20;

    /// Whether those who may not edit are seen by others.
    bool viewers_awareness = true;
    /// Who is here is forgotten when it is not renewed for so long.
    Duration awareness_within = std::chrono::seconds{30};
    /// What all ids of one client say together: further ids are passed over, and who says more
    /// with those that it has is closed.
    std::size_t awareness_bytes_max = std::size_t{16} << 10;
    std::size_t awareness_ids_per_client_max = 8;
};

}}  // namespace belay
