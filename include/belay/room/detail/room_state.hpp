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

#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/room_news.hpp>
#include <belay/room/detail/room_seat.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An id as it stands in URLs; empty of no_id.
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
    std::uint64_t author;        ///< a seat's id; 0: the server's own
    std::uint32_t statuses = 0;  ///< that its author is to be sent
    /// Who wants to know when it is.
    std::optional<Completion<PersistenceError>> done{};
    bool known = false;  ///< the document has it: the storage has lost it
};
/// What is to be brought into a room.
struct RoomImport {
    StoredRoom content;
    Completion<PersistenceError> done;
};

/// What is known of a room without its document.
///
/// Thread safety: the manager's home thread.
struct RoomBase {
    RoomBase(std::string name, Instant started, const RoomOptions& options, Instant now)
        : id{std::move(name)}, core{started, options, now}, awareness{options} {}
    RoomBase(const RoomBase&) = delete;
    RoomBase& operator=(const RoomBase&) = delete;

    [[nodiscard]] Instant deadline() const noexcept {
        if (over) return never;
        const Instant answers = smaller(load.deadline(), save.deadline());
        const Instant limits = smaller(load_ends, save_ends);
        const Instant heard = others ? others->deadline() : never;
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
    std::vector<RoomSeat*> members{};  ///< who are sent what happens
    std::vector<RoomSeat*> waiting{};  ///< for the load
    std::deque<PendingUpdate> pending{};
    std::size_t pending_bytes = 0;
    std::size_t flushing = 0;            ///< of these, those of the flush that is under way
    std::uint64_t position = 0;          ///< up to which all changes are in the document
    Id epoch{};                          ///< of its history; no_id: it has none
    bool over = false;                   ///< let go; destroyed at the end of the turn
    bool listed = false;                 ///< among those that wait for a flush
    bool aware = false;                  ///< among those whose clients are told who is here
    bool known = false;                  ///< told of as loaded
    bool news = false;                   ///< changes that nobody was told of
    bool hurry = false;                  ///< to be saved when it is loaded
    std::optional<Bytes> reloads{};      ///< loaded again: what its members had
    std::vector<RoomImport> imports{};   ///< that wait for the load
    std::size_t imports_bytes = 0;       ///< of these
    std::unique_ptr<RoomNews> others{};  ///< what other servers do, if there may be any
};

/// With its document.
template <class Document>
struct RoomState : RoomBase {
    RoomState(std::string name, const Document& empty, Instant started, const RoomOptions& options,
              Instant now)
        : RoomBase{std::move(name), started, options, now}, document{empty} {}
    Document document;
};

/// A machine of its manager's nest: its turn is `manager.run(room)`.
template <class Manager, class Document>
struct RoomMachine : RoomState<Document> {
    template <class... A>
    explicit RoomMachine(Manager& m, A&&... args)
        : RoomState<Document>{std::forward<A>(args)...}, manager{&m} {}

    void attach(Waker w) {
        this->waker = std::move(w);
        this->load.attach(this->waker);
        this->save.attach(this->waker);
        if (this->others) this->others->asked.attach(this->waker);
    }
    void advance(Instant) { manager->run(*this); }

    Manager* manager;
};

}}}  // namespace belay::detail
