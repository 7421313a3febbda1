// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_seat.hpp
/// RoomSeat: a client, as its manager knows it, whatever its transport and protocol.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque, std::erase_if
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/intrusive.hpp>
#include <belay/core/order.hpp>
#include <belay/link/detail/pulse.hpp>
#include <belay/link/event.hpp>
#include <belay/room/access.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/room_parts.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct RoomFrame;
struct RoomPeer;
struct RoomSeat;

/// What all clients of a manager have in common: what it is tuned by, and the bytes of answers that
/// they have not taken.
struct RoomHouse {
    const RoomOptions& options;
    std::size_t& answers;
};

/// What a manager does with a client.
struct RoomSeatOps {
    /// Lets it know that it is let in, or that it is to hear why not.
    void (*open)(RoomSeat&);
    void (*close)(RoomSeat&, const std::error_code& why) noexcept;
    void (*abort)(RoomSeat&) noexcept;
    Bytes (*write)(const RoomSeat&, const part::RoomMessage&);
    std::vector<Bytes> (*split)(const RoomSeat&, BytesView update, std::size_t bytes_max);
    bool (*disjoint)(const RoomSeat&, BytesView, BytesView);
    /// Destroys it: at once, or when its turn is over.
    void (*end)(RoomSeat&) noexcept;
};

/// A frame that waits for several clients.
struct RoomFrame : Counted {
    explicit RoomFrame(Bytes b) noexcept : bytes{std::move(b)} {}
    const Bytes bytes;
};

/// Of the bytes that may wait for a client, those that may wait in its connection.
[[nodiscard]] constexpr std::size_t connection_bytes_max(std::size_t client_bytes_max) noexcept {
    return client_bytes_max / 2;
}

/// What waits to be sent on one connection.
class RoomOutput {
public:
    /// `answers_of_all` is the sum over all clients.
    explicit RoomOutput(std::size_t& answers_of_all) noexcept : all_{&answers_of_all} {}
    RoomOutput(const RoomOutput&) = delete;
    RoomOutput& operator=(const RoomOutput&) = delete;
    ~RoomOutput() { clear(); }

    struct Waiting {
        Ref<RoomFrame> address;  ///< in front of it; null: nothing
        Ref<RoomFrame> frame;
        std::uint64_t seat;  ///< whose it is; 0: of the connection
        bool counts;         ///< it is an update of the room; else an answer to the client

        [[nodiscard]] std::size_t size() const noexcept { return frame->bytes.size(); }
    };

    void push(Waiting frame) {
        (frame.counts ? counted_ : answers_) += frame.size();
        if (!frame.counts) *all_ += frame.size();
        own_ += frame.seat == 0 ? 1 : 0;
        frames_.push_back(std::move(frame));
    }
    void pop() noexcept {
        forget(frames_.front());
        frames_.pop_front();
    }
    /// Nothing of that seat waits any more.   Complexity: O(n).
    void drop(std::uint64_t seat) noexcept {
        std::erase_if(frames_, [&](const Waiting& frame) {
            if (frame.seat == seat) forget(frame);
            return frame.seat == seat;
        });
    }
    void clear() noexcept {
        frames_.clear();
        *all_ -= answers_;
        counted_ = answers_ = own_ = 0;
    }
    [[nodiscard]] const Waiting& front() const noexcept { return frames_.front(); }
    [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
    [[nodiscard]] std::size_t counted() const noexcept { return counted_; }
    [[nodiscard]] std::size_t answers() const noexcept { return answers_; }
    /// Frames of the connection.
    [[nodiscard]] std::size_t own() const noexcept { return own_; }

private:
    void forget(const Waiting& frame) noexcept {
        (frame.counts ? counted_ : answers_) -= frame.size();
        if (!frame.counts) *all_ -= frame.size();
        own_ -= frame.seat == 0 ? 1 : 0;
    }

    std::size_t* all_;
    std::deque<Waiting> frames_;
    std::size_t counted_ = 0;
    std::size_t answers_ = 0;
    std::size_t own_ = 0;
};

/// Sends bytes on a connection, behind an address if there is one.
using RoomSend = SendResult (*)(RoomPeer&, const RoomFrame* address, const Bytes&);

struct RoomTrunkBase;

/// The other end of a connection, which has a seat, or several of them.
///
/// Thread safety: the manager's home thread.
struct RoomPeer {
    RoomPeer(RoomSend how, const HeartbeatOptions& beat, std::size_t& answers)
        : send{how}, output{answers}, pulse{beat}, keepalive{beat.every} {}
    RoomPeer(const RoomPeer&) = delete;
    RoomPeer& operator=(const RoomPeer&) = delete;

    /// Something was said to it.
    void said(Instant now) noexcept { say_at = after(now, keepalive); }
    [[nodiscard]] Instant timers() const noexcept {
        return smaller(smaller(output_ends, say_at), pulse.deadline());
    }
    /// Nothing more is expected of it.
    void rest() noexcept {
        output_ends = say_at = never;
        pulse.rest();
        answer.reset();
        output.clear();
    }

    RoomSend send;
    RoomOutput output;
    std::unique_ptr<RoomParts> answer{};  ///< to the state vector of `asker`, one at a time
    RoomSeat* asker = nullptr;
    Instant answers_from = never;  ///< since then it has one that it has not taken
    std::vector<RoomSeat*> seats{};
    RoomTrunkBase* trunk = nullptr;  ///< itself, if it may have several seats
    Waker* wake = nullptr;
    Pulse pulse;
    Duration keepalive;
    Instant output_ends = never;  ///< for which there is no room
    Instant say_at = never;       ///< it wants to hear something
    Instant read_at = always;     ///< it has sent too much to be read before
    Instant looked_at = always;   ///< for signs of life
    Instant paid_until = always;  ///< by its rate, what it has sent is worth this time
};

/// A peer with several seats; room_trunk.hpp has the rest of it.
struct RoomTrunkBase : RoomPeer {
    struct Ops {
        void (*open)(RoomTrunkBase&);
        void (*close)(RoomTrunkBase&, const std::error_code& why) noexcept;
        void (*end)(RoomTrunkBase&) noexcept;
    };

    RoomTrunkBase(const Ops& o, RoomSend how, std::uint64_t number, RoomRequest r,
                  const HeartbeatOptions& beat, std::size_t& answers)
        : RoomPeer{how, beat, answers}, ops{&o}, id{number}, request{std::move(r)} {
        trunk = this;
        wake = &waker;
    }

    const Ops* ops;
    const std::uint64_t id;
    RoomRequest request;  ///< of all its documents: who it is
    Waker waker{};
    std::optional<std::error_code> farewell{};  ///< what it is told once it is open
    Instant wait_ends = never;                  ///< of the opening
    Instant token_ends = never;                 ///< it has no document, and must have one by then
    Instant try_at = always;                    ///< to send, while it is not read
    Instant look_at = always;                   ///< for its end, while it is not read
    std::size_t members = 0;                    ///< of its seats
    std::size_t judged = 0;                     ///< of its seats, those that are checked or loaded
    std::size_t held_bytes = 0;   ///< of frames that wait for their documents, and of questions
    std::size_t token_bytes = 0;  ///< of what it has said before it was let in
    bool asked = false;           ///< it has sent a token
    bool proven = false;          ///< it was let in somewhere
    bool bare = false;            ///< among those without seats
    bool waits = false;           ///< among those at the door
    bool pings = false;           ///< it answers pings
    bool hung_up = false;         ///< its end has come, behind what is not read yet
    bool ends = false;            ///< told to go
    bool reaped = false;
};

/// Where a client stands.
enum class SeatStage : std::uint8_t {
    checking,  ///< the authorizer is asked; the upgrade is not answered
    waiting,   ///< let in, to a room that is being loaded; likewise
    opening,   ///< the upgrade is being answered
    member,    ///< of its room
    closing    ///< told to go, or about to be
};

struct RoomBase;

/// Where a client waits for room for its answer.
enum class AnswerLine : std::uint8_t {
    none,
    whole,  ///< among those whose answers are sent at once
    parts   ///< among those whose answers are cut as they are sent (RoomParts)
};

/// One client.
///
/// Thread safety: the manager's home thread.
struct RoomSeat {
    RoomSeat(const RoomSeatOps& o, RoomPeer& p, std::uint64_t number, RoomRequest r)
        : ops{&o}, peer{&p}, id{number}, request{std::move(r)} {}
    RoomSeat(const RoomSeat&) = delete;
    RoomSeat& operator=(const RoomSeat&) = delete;

    [[nodiscard]] bool may_edit() const noexcept { return grant.access == Access::edit; }
    /// The id that `accept` gave: its own, or that of its connection.
    [[nodiscard]] std::uint64_t client() const noexcept {
        return peer->trunk != nullptr ? peer->trunk->id : id;
    }
    [[nodiscard]] bool is(std::uint64_t who) const noexcept { return who == id || who == client(); }
    [[nodiscard]] Instant timers() const noexcept {
        // It is asked for a token once it is in.
        const Instant renew = stage == SeatStage::member ? renew_at : never;
        return smaller(smaller(wait_ends, grant_ends), smaller(retry_at, renew));
    }
    /// Nothing more is expected of it.
    void let_go() noexcept {
        wait_ends = grant_ends = retry_at = renew_at = never;
        if (peer->trunk == nullptr) peer->rest();
        drop_output();
    }
    /// Of what it was to be told it is told nothing.
    void drop_output() noexcept {
        if (peer->asker == this) peer->answer.reset();
        peer->output.drop(id);
        lag_from.reset();
        unaware.reset();
        static_cast<void>(take_question());
        statuses = 0;
    }

    /// A state vector is answered later. Of a connection that has several documents it is held as
    /// their frames are.
    void keep_question(BytesView theirs) {
        static_cast<void>(take_question());
        asked.emplace(theirs.begin(), theirs.end());
        hold(asked->size());
    }
    /// Nothing if none waits.
    [[nodiscard]] std::optional<Bytes> take_question() noexcept {
        if (asked) hold(0 - asked->size());
        return std::exchange(asked, std::nullopt);
    }

    void drop_check() noexcept {
        check.drop();
        count();
    }
    /// A connection has a share of what is checked and loaded, whoever has asked for it.
    void count() noexcept {
        RoomTrunkBase* const trunk = peer->trunk;
        if (trunk == nullptr) return;
        const bool settled = stage == SeatStage::member || stage == SeatStage::closing;
        const bool will_ask = stage == SeatStage::member && held_tokens != 0;
        const bool counts = !settled || check.waits() || will_ask;
        if (std::exchange(judged, counts) == counts) return;
        trunk->judged = counts ? trunk->judged + 1 : trunk->judged - 1;
        trunk->waker.touch();
    }

    const RoomSeatOps* ops;
    RoomPeer* peer;
    const std::uint64_t id;
    RoomRequest request;
    Ref<RoomFrame>
        address{};  ///< in front of what it is sent; null: nothing; empty: it is not sent
    Grant grant{};
    driver::Question<Grant> check;
    Waker waker{};
    RoomBase* room = nullptr;
    std::size_t place = 0;        ///< among the manager's
    std::size_t held_tokens = 0;  ///< of what came before it was let in, those still to be checked
    SeatStage stage = SeatStage::checking;
    AnswerLine line = AnswerLine::none;
    bool reaped = false;
    bool judged = false;     ///< among those of its connection that are
    bool leaves = false;     ///< it has closed its document: it hears nothing more
    bool overtaken = false;  ///< a fresher token has come than the one that is checked
    bool told_denied = false;
    bool unasked = false;                       ///< for what it has: its room is loaded again
    std::optional<std::error_code> farewell{};  ///< of closing: what it is told once it is open
    /// It missed updates: what it had before the first.
    std::optional<Bytes> lag_from{};
    /// It was not told all of who is here: how far it was.
    std::optional<AwarenessWalk> unaware{};
    /// A state vector that waits for its answer.
    std::optional<Bytes> asked{};
    /// Changes of its that are durable, of which it was not told yet;
    std::uint32_t statuses = 0;
    /// and those that only the answer to a state vector will settle.
    std::uint32_t owed = 0;

    Instant wait_ends = never;  ///< of a check, or of the opening
    Instant grant_ends = never;
    Instant retry_at = never;  ///< of `asked`
    Instant renew_at = never;  ///< a fresh token is asked for

private:
    void hold(std::size_t bytes) noexcept {
        if (peer->trunk == nullptr) return;
        peer->trunk->held_bytes += bytes;
        peer->trunk->waker.touch();
    }
};

}}}  // namespace belay::detail
