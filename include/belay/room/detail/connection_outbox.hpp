// SPDX-License-Identifier: MIT
/// \file belay/room/detail/connection_outbox.hpp
/// ConnectionOutbox: what waits to be sent on one connection.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <list>      // std::list, std::erase_if
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/instant.hpp>
#include <belay/room/detail/account.hpp>
#include <belay/room/detail/output_pace.hpp>
#include <belay/room/room_stats.hpp>
#include <belay/yjs/detail/yjs_split.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The time that an edit takes to its last client. It ends with the frame that has it: when no
/// outbox holds that frame any more.
struct DeliveryTime {
    void end() const noexcept {
        if (counters != nullptr) counters->delivered.add(elapsed(since, *now));
    }

    RoomCounters* counters = nullptr;  ///< of the manager; null: the frame is no edit
    const Instant* now = nullptr;      ///< the time of the manager's turn
    Instant since = always;            ///< the arrival of the edit
};

/// A frame that several outboxes share.
struct RoomFrame : Counted {
    explicit RoomFrame(Bytes b) noexcept : bytes{std::move(b)} {}
    ~RoomFrame() { time.end(); }
    RoomFrame(const RoomFrame&) = delete;
    RoomFrame& operator=(const RoomFrame&) = delete;

    const Bytes bytes;
    DeliveryTime time{};
    Ref<RoomFrame> first{};  ///< of the same edit, in another protocol: it has the time
};

/// The part of RoomOptions::client_bytes_max that may wait in the transport.
[[nodiscard]] constexpr std::size_t connection_bytes_max(std::size_t client_bytes_max) noexcept {
    return client_bytes_max / 2;
}

/// A Yjs update in parts. `next()` cuts one part, so that other clients do not wait for all of
/// them.
///
/// Pinned.   Thread safety: none.
class ReplyChunker {
public:
    /// The size of a part, and the work on answers in one turn.
    static constexpr std::size_t part_bytes = std::size_t{1} << 20;

    /// `update` was checked; `held` and the account of its client count its bytes for as long as
    /// this lives.
    ReplyChunker(Bytes update, std::size_t& held, const Ref<RoomAccount>& account)
        : update_{std::move(update)},
          held_{&held},
          share_{account, &Holdings::answer_bytes, update_.size()},
          splitter_{update_, part_bytes},
          ahead_{splitter_.next()} {
        *held_ += update_.size();
    }
    ReplyChunker(const ReplyChunker&) = delete;
    ReplyChunker& operator=(const ReplyChunker&) = delete;
    ~ReplyChunker() { *held_ -= update_.size(); }

    [[nodiscard]] bool has_more() const noexcept { return ahead_.has_value(); }
    /// Pre: has_more().
    [[nodiscard]] Bytes next() {
        Bytes part = std::move(*ahead_);
        ahead_ = splitter_.next();
        return part;
    }

private:
    const Bytes update_;
    std::size_t* held_;
    Holding share_;
    yjs::detail::Splitter splitter_;
    std::optional<Bytes> ahead_;
};

struct RoomClient;

/// The answer to a state vector that a connection receives, one at a time.
struct ConnectionAnswer {
    std::unique_ptr<ReplyChunker> chunks{};  ///< null: none is cut as it is sent
    RoomClient* client = nullptr;            ///< of `chunks`
    Instant since = never;                   ///< since when an answer waits to be sent
};

/// The frames that wait to be sent on one connection, the answer that is cut as it is sent, and how
/// fast the connection accepts them.
class ConnectionOutbox {
public:
    /// `answers_of_all` is the sum over all clients.
    explicit ConnectionOutbox(std::size_t& answers_of_all) noexcept : all_{&answers_of_all} {}
    ConnectionOutbox(const ConnectionOutbox&) = delete;
    ConnectionOutbox& operator=(const ConnectionOutbox&) = delete;
    ~ConnectionOutbox() { clear(); }

    struct Waiting {
        Ref<RoomFrame> address;  ///< precedes the frame; null: none
        Ref<RoomFrame> frame;
        std::uint64_t client;  ///< the client of the frame; 0: the connection
        bool counts;           ///< an update of the room; else an answer

        [[nodiscard]] std::size_t size() const noexcept { return frame->bytes.size(); }
    };

    void push(Waiting frame) {
        frames_.push_back(std::move(frame));
        const Waiting& last = frames_.back();
        (last.counts ? counted_ : answers_) += last.size();
        if (!last.counts) *all_ += last.size();
        own_ += last.client == 0 ? 1 : 0;
    }
    void pop() noexcept {
        forget(frames_.front());
        frames_.pop_front();
    }
    /// Removes the frames of one client.   Complexity: O(n).
    void drop(std::uint64_t client) noexcept {
        std::erase_if(frames_, [&](const Waiting& frame) {
            if (frame.client == client) forget(frame);
            return frame.client == client;
        });
    }
    /// Drops all of it. Nothing waits any more.
    void clear() noexcept {
        pace.stop();
        answer.chunks.reset();
        frames_.clear();
        *all_ -= answers_;
        counted_ = answers_ = own_ = 0;
    }
    [[nodiscard]] const Waiting& front() const noexcept { return frames_.front(); }
    [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
    [[nodiscard]] std::size_t counted() const noexcept { return counted_; }
    [[nodiscard]] std::size_t answers() const noexcept { return answers_; }
    /// Returns the number of frames that belong to no client.
    [[nodiscard]] std::size_t own() const noexcept { return own_; }

    ConnectionAnswer answer{};
    OutputPace pace{};

private:
    void forget(const Waiting& frame) noexcept {
        (frame.counts ? counted_ : answers_) -= frame.size();
        if (!frame.counts) *all_ -= frame.size();
        own_ -= frame.client == 0 ? 1 : 0;
    }

    std::size_t* all_;
    std::list<Waiting> frames_;  // without memory while it is empty, which a std::deque has
    std::size_t counted_ = 0;
    std::size_t answers_ = 0;
    std::size_t own_ = 0;
};

}}}  // namespace belay::detail
