// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_delivery.hpp
/// RoomDelivery: what clients are sent, however slowly they take it.
#pragma once

#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/queue/storage_like.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/room_stats.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Sends to clients; nobody waits for anybody. For a slow one there is a budget of updates: beyond
/// it what it has is noted, and it is sent the rest in one when it has taken what waits. Who is
/// here never waits for it: it is told in pieces when there is room, as it is then.
///
/// `Owner` has `fail(RoomSeat&, std::error_code)`.
///
/// Thread safety: the manager's home thread.
template <class Owner, DocumentLike Document>
class RoomDelivery {
public:
    using Room = RoomState<Document>;
    using Kind = RoomMessage::Kind;

    RoomDelivery(Owner& owner, const RoomOptions& options, RoomCounters& counters) noexcept
        : owner_{&owner}, options_{&options}, counters_{&counters} {}

    /// Writes the frames for a room's members, before its document has what they say.
    void prepare(Room& room, const RoomMessage& message) {
        frames_.clear();
        std::optional<Bytes> before;
        for (RoomSeat* const seat : room.members) {
            const std::size_t size = frame_for(*seat, message)->bytes.size();
            if (seat->lag_from) continue;
            // Kept as one that could be needed: who takes it is known when it is sent.
            seat->may_lag = seat->output.counted() + size > options_->client_bytes_max;
            if (seat->may_lag && !before) before = vector_of(room);
            if (seat->may_lag) seat->lag_from = *before;
        }
    }
    /// Sends what was prepared to all members but one.
    void send_prepared(Room& room, const RoomMessage& message, std::uint64_t except, Instant now) {
        for (std::size_t i = room.members.size(); i-- != 0;) {
            RoomSeat& seat = *room.members[i];
            const bool may_lag = std::exchange(seat.may_lag, false);
            if (seat.id == except) {
                if (may_lag) seat.lag_from.reset();
                continue;
            }
            give_update(seat, frame_for(seat, message), may_lag, now);
        }
        frames_.clear();
    }
    /// Tells all members what has changed of who is here.
    void send_awareness(Room& room, Instant now) {
        while (room.awareness.changed()) {
            const AwarenessWalk before = room.awareness.told();
            const Bytes piece = room.awareness.take_changes(options_->piece_bytes_max);
            if (piece.empty()) break;
            const RoomMessage message{Kind::awareness, piece};
            for (std::size_t i = room.members.size(); i-- != 0;) {
                RoomSeat& seat = *room.members[i];
                give_awareness(seat, frame_for(seat, message), before, now);
            }
            frames_.clear();
        }
    }

    /// An answer to one client, or a question.
    void say(RoomSeat& seat, const RoomMessage& message, Instant now) {
        give(seat, Ref<RoomFrame>::make(seat.ops->write(seat, message)), false, now);
    }
    /// Bytes that are a frame; who has no room for them is closed. One that is longer than the
    /// budget goes to whom nothing else waits for.
    void say_raw(RoomSeat& seat, const Ref<RoomFrame>& frame, Instant now) {
        if (!seat.output.empty() &&
            seat.output.counted() + frame->bytes.size() > options_->client_bytes_max)
            return owner_->fail(seat, make_error_code(RoomErrc::too_slow));
        give(seat, frame, true, now);
    }
    /// Who is here, when there is room.
    void tell_awareness(RoomSeat& seat, bool also_nobody, Instant now) {
        seat.unaware.emplace();
        if (seat.output.empty()) go_on_telling(seat, also_nobody, now);
    }

    /// Answers a state vector: pieces, of which the last is a state.   Errors: the document's.
    [[nodiscard]] std::error_code answer(RoomSeat& seat, BytesView theirs, Instant now) {
        Room& room = static_cast<Room&>(*seat.room);
        const std::size_t others = *answers_;
        if (seat.output.answers() != 0 ||
            (others != 0 && others + room.document.bytes() > options_->answers_bytes_max)) {
            seat.asked.emplace(theirs.begin(), theirs.end());
            seat.retry_at = after(now, std::chrono::milliseconds{50});
            return {};
        }
        return send_state(seat, room, theirs, Kind::state, now);
    }
    void count_answers_in(const std::size_t& answers) noexcept { answers_ = &answers; }

    /// There may be room: sends what waits, then what it has missed.
    void catch_up(RoomSeat& seat, Instant now) {
        while (!seat.output.empty()) {
            const SendResult sent = seat.ops->send(seat, seat.output.front());
            if (sent == SendResult::busy) return wait(seat, now);
            seat.output.pop();
            if (sent == SendResult::refused)
                return owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
            seat.said(now);
        }
        seat.output_ends = never;
        if (seat.stage == SeatStage::member && seat.lag_from && seat.room->core.live())
            resync(seat, now);
        // What it still has to take ends here another time; if it has taken all, nothing else will.
        if (seat.stage != SeatStage::member || !seat.output.empty()) return;
        if (seat.unaware) go_on_telling(seat, seat.unaware->until == 0, now);
        if (seat.asked && seat.room->core.live()) ask_again(seat, now);
    }

    /// What a document has, as `answer` reads it.
    [[nodiscard]] static Bytes vector_of(Room& room) {
        if constexpr (ComparesDocument<Document>) {
            return room.document.state_vector();
        } else {
            return {};
        }
    }
    /// What somebody lacks, as updates.   Errors: the document's; too_slow: it is more than `most`.
    std::error_code send_state(RoomSeat& seat, Room& room, BytesView theirs, Kind last, Instant now,
                               std::size_t most = no_limit) {
        if constexpr (ComparesDocument<Document>) {
            auto diff = room.document.diff(theirs);
            if (!diff.has_value()) return static_cast<std::error_code>(diff.error());
            // To cut it would hold up everybody, for nothing.
            if (diff->size() > most) return RoomErrc::too_slow;
            const std::vector<Bytes> pieces =
                seat.ops->split(seat, *diff, options_->piece_bytes_max);
            for (std::size_t i = 0; i < pieces.size(); ++i) {
                const bool ends = i + 1 == pieces.size();
                say(seat, {ends ? last : Kind::update, pieces[i]}, now);
            }
            if (pieces.empty() && last == Kind::state) say(seat, {last, {}}, now);
        } else {
            if (room.document.bytes() > most) return RoomErrc::too_slow;
            for (const Bytes& part : room.document.snapshot()) say(seat, {Kind::update, part}, now);
            if (last == Kind::state) say(seat, {last, {}}, now);
        }
        return {};
    }

private:
    struct Written {
        const RoomSeatOps* ops;
        Ref<RoomFrame> frame;
    };

    [[nodiscard]] Ref<RoomFrame> frame_for(RoomSeat& seat, const RoomMessage& message) {
        for (const Written& w : frames_) {
            if (w.ops == seat.ops) return w.frame;
        }
        frames_.push_back({seat.ops, Ref<RoomFrame>::make(seat.ops->write(seat, message))});
        return frames_.back().frame;
    }
    void give_update(RoomSeat& seat, Ref<RoomFrame> frame, bool may_lag, Instant now) {
        if (seat.lag_from && !may_lag) return;
        if (!may_lag) return give(seat, std::move(frame), true, now);
        if (!seat.output.empty()) return;  // it lags from here on
        const SendResult sent = seat.ops->send(seat, frame->bytes);
        if (sent == SendResult::busy) return wait(seat, now);
        seat.lag_from.reset();
        if (sent == SendResult::refused)
            return owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
        seat.said(now);
    }
    void give_awareness(RoomSeat& seat, const Ref<RoomFrame>& frame, const AwarenessWalk& before,
                        Instant now) {
        if (!seat.unaware && seat.output.empty()) {
            const SendResult sent = seat.ops->send(seat, frame->bytes);
            if (sent != SendResult::busy) return seat.said(now);
            wait(seat, now);
        }
        if (!seat.unaware) seat.unaware = before;
        ++counters_->awareness_dropped;
    }
    /// In pieces, none of which waits here: what is not taken now is told as it is by then.
    void go_on_telling(RoomSeat& seat, bool also_nobody, Instant now) {
        while (seat.unaware) {
            AwarenessWalk walk = *seat.unaware;
            Bytes piece = seat.room->awareness.piece(walk, options_->piece_bytes_max);
            const bool ends = piece.empty();
            if (ends && also_nobody) piece.push_back(std::byte{0});
            also_nobody = false;
            if (!piece.empty()) {
                const Bytes frame = seat.ops->write(seat, {Kind::awareness, piece});
                const SendResult sent = seat.ops->send(seat, frame);
                if (sent == SendResult::busy) return wait(seat, now);
                if (sent == SendResult::refused)
                    return owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
                seat.said(now);
            }
            seat.unaware = walk;
            if (ends) seat.unaware.reset();
        }
    }
    void give(RoomSeat& seat, Ref<RoomFrame> frame, bool counts, Instant now) {
        if (seat.output.empty()) {
            const SendResult sent = seat.ops->send(seat, frame->bytes);
            if (sent == SendResult::refused)
                return owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
            if (sent != SendResult::busy) return seat.said(now);
            wait(seat, now);
        }
        seat.output.push(std::move(frame), counts);
    }
    void wait(RoomSeat& seat, Instant now) noexcept {
        seat.output_ends = smaller(seat.output_ends, after(now, options_->heartbeat.dead_after));
        seat.waker.touch();
    }
    void resync(RoomSeat& seat, Instant now) {
        Room& room = static_cast<Room&>(*seat.room);
        const Bytes had = std::move(*seat.lag_from);
        seat.lag_from.reset();
        const std::size_t before = seat.output.answers();
        if (const std::error_code e =
                send_state(seat, room, had, Kind::update, now, options_->client_bytes_max))
            return owner_->fail(seat, e);
        if (seat.output.answers() - before > options_->client_bytes_max)
            return owner_->fail(seat, make_error_code(RoomErrc::too_slow));
        ++counters_->resyncs;
    }
    void ask_again(RoomSeat& seat, Instant now) {
        const Bytes theirs = std::move(*seat.asked);
        seat.asked.reset();
        seat.retry_at = never;
        if (const std::error_code e = answer(seat, theirs, now)) owner_->fail(seat, e);
    }

    Owner* owner_;
    const RoomOptions* options_;
    RoomCounters* counters_;
    const std::size_t* answers_ = nullptr;
    std::vector<Written> frames_;
};

}  // namespace belay::inline BELAY_ABI::detail
