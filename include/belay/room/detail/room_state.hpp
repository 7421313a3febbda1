// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_state.hpp
/// RoomBase and RoomState: one room of a RoomManager.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <deque>     // std::deque
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <string>    // std::string
#include <vector>    // std::vector

#include <belay/room/detail/replication_state.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns an id as hexadecimal text; empty for no_id.
[[nodiscard]] inline std::string epoch_text(const Id& epoch) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    if (epoch == no_id) return text;
    for (const std::byte b : epoch) {
        text += digits[static_cast<unsigned>(b) >> 4U];
        text += digits[static_cast<unsigned>(b) & 15U];
    }
    return text;
}

/// A change that is not durable yet.
struct PendingUpdate {
    Bytes update;
    std::uint64_t position;
    std::uint64_t author;        ///< a client's id; 0: the server's own
    std::uint32_t statuses = 0;  ///< acknowledgements that its author expects
    /// Called when it is durable.
    std::optional<Completion<PersistenceError>> done{};
    bool in_document = false;  ///< the document has it; the storage had lost it
};
/// An import that waits for the load.
struct RoomImport {
    StoredRoom content;
    Completion<PersistenceError> done;
};

/// A room without its document.
///
/// Thread safety: the manager's home thread.
struct RoomBase {
    RoomBase(std::string name, Instant started, const RoomOptions& options, Instant now)
        : id{std::move(name)}, core{started, options, now}, awareness{options} {}
    RoomBase(const RoomBase&) = delete;
    RoomBase& operator=(const RoomBase&) = delete;

    [[nodiscard]] Instant deadline() const noexcept {
        if (evicted) return never;
        const Instant answers = smaller(load.deadline(), save.deadline());
        const Instant limits = smaller(load_ends, save_ends);
        const Instant heard = replication ? replication->deadline() : never;
        return smaller(smaller(smaller(core.deadline(), awareness.deadline()), heard),
                       smaller(answers, limits));
    }

    const std::string id;
    timeline::RoomCore core;
    RoomAwareness awareness;
    driver::Question<Result<std::optional<StoredRoom>, PersistenceError>> load;
    driver::Question<PersistenceError> save;
    Waker waker{};
    Instant load_ends = never;
    Instant save_ends = never;
    std::vector<RoomClient*> clients{};  ///< those that have joined
    std::vector<RoomClient*> waiting{};  ///< for the load
    std::deque<PendingUpdate> pending{};
    std::size_t pending_bytes = 0;
    std::size_t flushing = 0;        ///< the number of pending changes in the current flush
    std::uint64_t position = 0;      ///< all changes up to it are in the document
    Id epoch{};                      ///< the id of its history; no_id: it has none
    bool evicted = false;            ///< destroyed at the end of the turn
    bool awaits_flush = false;       ///< queued for a flush
    bool awareness_due = false;      ///< queued for sending awareness
    bool load_reported = false;      ///< the observer was notified of the load
    bool change_unreported = false;  ///< the observer was not notified of the last changes
    bool save_after_load = false;    ///< save it when it is loaded
    std::optional<Bytes> vector_before_reload{};  ///< the state of its clients before a second load
    std::vector<RoomImport> imports{};            ///< imports that wait for the load
    std::size_t imports_bytes = 0;                ///< the bytes of these imports
    std::unique_ptr<ReplicationState> replication{};  ///< null if the storage is not shared
};

/// With its document.
template <class Document>
struct RoomState : RoomBase {
    RoomState(std::string name, const Document& empty, Instant started, const RoomOptions& options,
              Instant now)
        : RoomBase{std::move(name), started, options, now}, document{empty} {}
    Document document;
};

/// A room as a machine of a group: its turn is `rooms.run(room)`.
template <class Rooms, class Document>
struct RoomMachine {
    template <class... A>
    explicit RoomMachine(Rooms& owner, A&&... args)
        : rooms{&owner}, room{std::forward<A>(args)...} {}

    void attach(Waker waker) {
        room.waker = std::move(waker);
        room.load.attach(room.waker);
        room.save.attach(room.waker);
        if (room.replication) room.replication->subscription.attach(room.waker);
    }
    [[nodiscard]] Instant deadline() const noexcept { return room.deadline(); }
    void advance(Instant) { rooms->run(room); }

    Rooms* rooms;
    RoomState<Document> room;
};

}}}  // namespace belay::detail
