// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_seat.hpp
/// RoomSeat: a client, as its manager knows it, whatever its transport and protocol.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <deque>     // std::deque
#include <optional>  // std::optional
#include <vector>    // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/intrusive.hpp>
#include <belay/core/order.hpp>
#include <belay/link/detail/pulse.hpp>
#include <belay/link/event.hpp>
#include <belay/room/access.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_request.hpp>

namespace belay::inline BELAY_ABI::detail {

struct RoomSeat;

/// What a manager does with a client.
struct RoomSeatOps {
    /// Answers the upgrade.
    void (*open)(RoomSeat&);
    SendResult (*send)(RoomSeat&, const Bytes&) noexcept;
    void (*close)(RoomSeat&, const Failure&, Duration linger_max) noexcept;
    void (*abort)(RoomSeat&) noexcept;
    Bytes (*write)(const RoomSeat&, const RoomMessage&);
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

/// What waits to be sent to one client.
class RoomOutput {
public:
    /// `answers_of_all` is the sum over all clients.
    explicit RoomOutput(std::size_t& answers_of_all) noexcept : all_{&answers_of_all} {}
    RoomOutput(const RoomOutput&) = delete;
    RoomOutput& operator=(const RoomOutput&) = delete;
    ~RoomOutput() { clear(); }

    /// What counts is an update of the room; else an answer to the client.
    void push(Ref<RoomFrame> frame, bool counts) {
        (counts ? counted_ : answers_) += frame->bytes.size();
        if (!counts) *all_ += frame->bytes.size();
        frames_.push_back({std::move(frame), counts});
    }
    void pop() noexcept {
        const std::size_t size = frames_.front().frame->bytes.size();
        (frames_.front().counts ? counted_ : answers_) -= size;
        if (!frames_.front().counts) *all_ -= size;
        frames_.pop_front();
    }
    void clear() noexcept {
        frames_.clear();
        *all_ -= answers_;
        counted_ = answers_ = 0;
    }
    [[nodiscard]] const Bytes& front() const noexcept { return frames_.front().frame->bytes; }
    [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
    [[nodiscard]] std::size_t counted() const noexcept { return counted_; }
    [[nodiscard]] std::size_t answers() const noexcept { return answers_; }

private:
    struct Waiting {
        Ref<RoomFrame> frame;
        bool counts;
    };
    std::size_t* all_;
    std::deque<Waiting> frames_;
    std::size_t counted_ = 0;
    std::size_t answers_ = 0;
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

/// One client.
///
/// Thread safety: the manager's home thread.
struct RoomSeat {
    RoomSeat(const RoomSeatOps& o, std::uint64_t number, RoomRequest r,
             const HeartbeatOptions& beat, std::size_t& answers)
        : ops{&o},
          id{number},
          request{std::move(r)},
          output{answers},
          pulse{beat},
          keepalive{beat.every} {}
    RoomSeat(const RoomSeat&) = delete;
    RoomSeat& operator=(const RoomSeat&) = delete;

    [[nodiscard]] bool may_edit() const noexcept { return grant.access == Access::edit; }
    /// Something was said to it.
    void said(Instant now) noexcept { say_at = after(now, keepalive); }
    [[nodiscard]] Instant timers() const noexcept {
        return smaller(smaller(smaller(wait_ends, grant_ends), smaller(output_ends, retry_at)),
                       smaller(pulse.deadline(), say_at));
    }
    /// Nothing more is expected of it.
    void let_go() noexcept {
        wait_ends = grant_ends = output_ends = retry_at = say_at = never;
        pulse.rest();
        output.clear();
        lag_from.reset();
        unaware.reset();
        asked.reset();
    }

    const RoomSeatOps* ops;
    const std::uint64_t id;
    RoomRequest request;
    Grant grant{};
    driver::Question<Grant> check;
    Waker waker{};
    RoomBase* room = nullptr;
    std::size_t place = 0;  ///< among the manager's
    SeatStage stage = SeatStage::checking;
    bool reaped = false;
    bool told_denied = false;
    bool may_lag = false;               ///< by the update that is about to be sent
    std::optional<Failure> farewell{};  ///< of closing: what it is told once it is open
    RoomOutput output;
    /// It missed updates: what it had before the first.
    std::optional<Bytes> lag_from{};
    /// It was not told all of who is here: how far it was.
    std::optional<AwarenessWalk> unaware{};
    /// A state vector that waits for its answer.
    std::optional<Bytes> asked{};

    Pulse pulse;
    Duration keepalive;
    Instant wait_ends = never;  ///< of a check, or of the opening
    Instant grant_ends = never;
    Instant output_ends = never;  ///< for which there is no room
    Instant retry_at = never;     ///< of `asked`
    Instant say_at = never;       ///< it wants to hear something
    Instant read_at = always;     ///< it has sent too much to be read before
    Instant paid_until = always;  ///< by its rate, what it has sent is worth this time
};

}  // namespace belay::inline BELAY_ABI::detail
