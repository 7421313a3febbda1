// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_delivery.hpp
/// RoomDelivery: what clients are sent, however slowly they take it.
#pragma once

#include <algorithm>  // std::rotate
#include <concepts>   // std::derived_from
#include <memory>     // std::make_unique
#include <span>       // std::span
#include <utility>    // std::exchange, std::move
#include <vector>     // std::vector

#include <belay/queue/storage_like.hpp>
#include <belay/room/detail/room_answers.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/room_stats.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Sends to clients; nobody waits for anybody. For a slow one there is a budget of updates, half of
/// it its connection's: beyond it what it has is noted, and it is sent the rest in one when it has
/// taken what waits. Who is here never waits for it: it is told in pieces when there is room, as it
/// is then.
///
/// `Owner` has `fail(RoomSeat&, std::error_code)` and `fail_peer(RoomPeer&, std::error_code)`.
///
/// Thread safety: the manager's home thread.
template <class Owner, DocumentLike Document>
class RoomDelivery {
public:
    using Room = RoomState<Document>;
    using Kind = part::RoomMessage::Kind;

    RoomDelivery(Owner& owner, const RoomOptions& options, RoomCounters& counters,
                 RoomAnswers<Owner>& answers) noexcept
        : owner_{&owner}, options_{&options}, counters_{&counters}, answers_{&answers} {}

    /// Sends an update to all members but one, before the document has it: who does not take it
    /// lags, by what the document had.
    void send_update(Room& room, BytesView update, std::uint64_t except, Instant now) {
        frames_.clear();
        const part::RoomMessage message{Kind::update, update};
        std::optional<Bytes> before;
        for (std::size_t i = room.members.size(); i-- != 0;) {
            // One that fails takes along what else is of its connection.
            if (i >= room.members.size()) continue;
            RoomSeat& seat = *room.members[i];
            if (seat.is(except) || seat.leaves || seat.lag_from) continue;
            const Ref<RoomFrame> frame = frame_for(seat, message);
            if (seat.peer->output.counted() + frame->bytes.size() <= waiting_max()) {
                give(seat, frame, true, now);
            } else if (!takes_at_once(seat, frame->bytes, now)) {
                // To look costs as much as the document is large.
                if (!before) before = vector_of(room);
                seat.lag_from = *before;
            }
        }
        frames_.clear();
    }
    /// Tells all members what has changed of who is here.
    void send_awareness(Room& room, Instant now) {
        while (room.awareness.changed()) {
            const AwarenessWalk before = room.awareness.told();
            const Bytes piece = room.awareness.take_changes(options_->piece_bytes_max);
            if (piece.empty()) break;
            const part::RoomMessage message{Kind::awareness, piece};
            for (std::size_t i = room.members.size(); i-- != 0;) {
                // One that fails takes along what else is of its connection.
                if (i >= room.members.size()) continue;
                RoomSeat& seat = *room.members[i];
                if (seat.leaves) continue;
                give_awareness(seat, frame_for(seat, message), before, now);
            }
            frames_.clear();
        }
    }

    /// An answer to one client, or a question.
    void say(RoomSeat& seat, const part::RoomMessage& message, Instant now) {
        give_message(seat, message, false, now);
    }
    /// What a connection is told that is no part of a document: who does not take it is closed.
    void tell(RoomPeer& peer, const Ref<RoomFrame>& address, Bytes frame, Instant now) {
        if (peer.output.empty()) {
            const SendResult sent = peer.send(peer, address.get(), frame);
            if (sent == SendResult::refused)
                return owner_->fail_peer(peer, make_error_code(RoomErrc::frame_too_large));
            if (sent != SendResult::busy) return peer.said(now);
            wait(peer, now);
        }
        if (peer.output.own() >= own_max)
            return owner_->fail_peer(peer, make_error_code(RoomErrc::too_slow));
        peer.output.push({address, Ref<RoomFrame>::make(std::move(frame)), 0, false});
    }
    /// So many changes of a client are durable, and it is told so when there is room.
    void acknowledge(RoomSeat& seat, std::uint32_t changes, Instant now) {
        seat.statuses += changes;
        if (seat.peer->output.empty()) tell_statuses(seat, now);
    }
    /// Bytes that are a frame; who has no room for them is closed. One that is longer than the
    /// budget goes to whom nothing else waits for.
    void say_raw(RoomSeat& seat, const Ref<RoomFrame>& frame, Instant now) {
        const RoomOutput& output = seat.peer->output;
        if (!output.empty() && output.counted() + frame->bytes.size() > waiting_max())
            return owner_->fail(seat, make_error_code(RoomErrc::too_slow));
        give(seat, frame, true, now);
    }
    /// Who is here, when there is room.
    void tell_awareness(RoomSeat& seat, bool also_nobody, Instant now) {
        seat.unaware.emplace();
        if (seat.peer->output.empty()) go_on_telling(seat, also_nobody, now);
    }

    /// Answers a state vector: pieces, of which the last is a state.   Errors: the document's.
    [[nodiscard]] std::error_code answer(RoomSeat& seat, BytesView theirs, Instant now) {
        Room& room = static_cast<Room&>(*seat.room);
        RoomPeer& peer = *seat.peer;
        const std::size_t size = room.document.bytes();
        constexpr bool cuts = std::derived_from<Document, YjsDocument>;
        const AnswerLine line =
            cuts && size > RoomParts::part_bytes ? AnswerLine::parts : AnswerLine::whole;
        const bool busy = peer.answer || peer.output.answers() != 0;
        const bool works = may_work(now);
        if (busy || !works || !answers_->has_space(seat, size, line, now)) {
            const bool soon = !busy && !works && !answers_->is_behind(seat);
            seat.keep_question(theirs);
            seat.retry_at = after(now, std::chrono::milliseconds{soon ? 1 : 50});
            // It may be its connection's turn, not its own.
            seat.waker.touch();
            return {};
        }
        peer.answers_from = now;
        // What is compared costs time, however little is sent.
        done_ += size;
        if constexpr (cuts) {
            auto diff = room.document.diff(theirs);
            if (!diff.has_value()) return static_cast<std::error_code>(diff.error());
            if (diff->size() > RoomParts::part_bytes) {
                peer.answer = std::make_unique<RoomParts>(std::move(*diff), answers_->uncut);
                peer.asker = &seat;
                go_on_answering(peer, now);
                return {};
            }
            send_pieces(seat, *diff, Kind::state, false, now);
        } else {
            RoomSeat* const one = &seat;
            if (const auto error = send_state({&one, 1}, room, theirs, Kind::state, now))
                return error;
        }
        ask_back(seat, now);
        note_taken(peer);
        return {};
    }

    /// There may be room: sends what waits, then what it has missed.
    void catch_up(RoomPeer& peer, Instant now) {
        while (!peer.output.empty()) {
            const RoomOutput::Waiting& next = peer.output.front();
            const SendResult sent = peer.send(peer, next.address.get(), next.frame->bytes);
            if (sent == SendResult::busy) return wait(peer, now);
            peer.output.pop();
            if (sent == SendResult::refused)
                return owner_->fail_peer(peer, make_error_code(RoomErrc::frame_too_large));
            peer.said(now);
            // It has taken something: one that is not read does not say so.
            peer.output_ends = never;
            note_taken(peer);
        }
        peer.output_ends = never;
        go_on_answering(peer, now);
        for (std::size_t left = peer.seats.size(); left != 0 && peer.output.empty(); --left) {
            // Who comes first now comes last the next time.
            std::rotate(peer.seats.begin(), peer.seats.begin() + 1, peer.seats.end());
            settle(*peer.seats.back(), now);
        }
    }

    /// What a document has, as `answer` reads it.
    [[nodiscard]] static Bytes vector_of(Room& room) {
        if constexpr (ComparesDocument<Document>) {
            return room.document.state_vector();
        } else {
            return {};
        }
    }
    /// What those lack who have `theirs`, as updates; where there is a `most`, they count as the
    /// room's. It is compared once: that costs as much as the document is long.
    /// Errors: the document's; too_slow: it is more than `most`.
    std::error_code send_state(std::span<RoomSeat* const> to, Room& room, BytesView theirs,
                               Kind last, Instant now, std::size_t most = no_limit) {
        const bool counts = most != no_limit;
        const auto each = [&](auto&& send_to) {
            for (RoomSeat* const seat : to) {
                // One that fails takes along what else is of its connection.
                if (seat->stage == SeatStage::member) send_to(*seat);
            }
        };
        if constexpr (ComparesDocument<Document>) {
            auto diff = room.document.diff(theirs);
            if (!diff.has_value()) return static_cast<std::error_code>(diff.error());
            // To cut it would hold up everybody, for nothing.
            if (diff->size() > most) return RoomErrc::too_slow;
            each([&](RoomSeat& seat) { send_pieces(seat, *diff, last, counts, now); });
        } else {
            if (room.document.bytes() > most) return RoomErrc::too_slow;
            each([&](RoomSeat& seat) {
                for (const Bytes& part : room.document.snapshot())
                    give_message(seat, {Kind::update, part}, counts, now);
                if (last == Kind::state) give_message(seat, {last, {}}, counts, now);
            });
        }
        return {};
    }

private:
    /// Updates that may wait here, of one connection, which has the rest of the budget itself.
    [[nodiscard]] std::size_t waiting_max() const noexcept {
        const std::size_t all = options_->client_bytes_max;
        return all - connection_bytes_max(all);
    }
    /// Whether more is made of answers before all others have had their turn.
    [[nodiscard]] bool may_work(Instant now) noexcept {
        if (std::exchange(turn_, now) != now) done_ = 0;
        return done_ < RoomParts::part_bytes;
    }
    /// Cuts and sends what is taken, of as much as a turn may make.
    void go_on_answering(RoomPeer& peer, Instant now) {
        while (peer.answer && peer.output.empty()) {
            RoomSeat& seat = *peer.asker;
            if (!may_work(now)) {
                seat.retry_at = after(now, std::chrono::milliseconds{1});
                return seat.waker.touch();
            }
            const Bytes part = peer.answer->next();
            done_ += part.size();
            const bool ends = !peer.answer->has_more();
            if (ends) peer.answer.reset();
            send_pieces(seat, part, ends ? Kind::state : Kind::update, false, now);
            if (ends) ask_back(seat, now);
        }
        note_taken(peer);
    }
    static void note_taken(RoomPeer& peer) noexcept {
        if (!peer.answer && peer.output.answers() == 0) peer.answers_from = never;
    }
    /// Where frames have addresses each state vector is answered by one, too.
    void ask_back(RoomSeat& seat, Instant now) {
        if (seat.stage == SeatStage::member && seat.peer->trunk != nullptr)
            say(seat, {Kind::state_vector, vector_of(static_cast<Room&>(*seat.room))}, now);
    }
    void send_pieces(RoomSeat& seat, BytesView update, Kind last, bool counts, Instant now) {
        const std::vector<Bytes> pieces = seat.ops->split(seat, update, options_->piece_bytes_max);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const bool ends = i + 1 == pieces.size();
            give_message(seat, {ends ? last : Kind::update, pieces[i]}, counts, now);
        }
        if (pieces.empty() && last == Kind::state) give_message(seat, {last, {}}, counts, now);
    }
    void give_message(RoomSeat& seat, const part::RoomMessage& message, bool counts, Instant now) {
        give(seat, Ref<RoomFrame>::make(seat.ops->write(seat, message)), counts, now);
    }

    struct Written {
        const RoomSeatOps* ops;
        Ref<RoomFrame> frame;
    };

    [[nodiscard]] Ref<RoomFrame> frame_for(RoomSeat& seat, const part::RoomMessage& message) {
        for (const Written& w : frames_) {
            if (w.ops == seat.ops) return w.frame;
        }
        frames_.push_back({seat.ops, Ref<RoomFrame>::make(seat.ops->write(seat, message))});
        return frames_.back().frame;
    }
    /// Whether it need not wait: nothing else does, and the connection has room. One that fails
    /// waits for nothing.
    [[nodiscard]] bool takes_at_once(RoomSeat& seat, const Bytes& frame, Instant now) {
        if (!seat.peer->output.empty()) return false;
        const SendResult sent = send(seat, frame);
        if (sent == SendResult::busy) {
            wait(*seat.peer, now);
            return false;
        }
        if (sent == SendResult::refused) {
            owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
        } else {
            seat.peer->said(now);
        }
        return true;
    }
    void give_awareness(RoomSeat& seat, const Ref<RoomFrame>& frame, const AwarenessWalk& before,
                        Instant now) {
        if (!seat.unaware && seat.peer->output.empty()) {
            const SendResult sent = send(seat, frame->bytes);
            if (sent != SendResult::busy) return seat.peer->said(now);
            wait(*seat.peer, now);
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
                const SendResult sent = send(seat, frame);
                if (sent == SendResult::busy) return wait(*seat.peer, now);
                if (sent == SendResult::refused)
                    return owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
                seat.peer->said(now);
            }
            seat.unaware = walk;
            if (ends) seat.unaware.reset();
        }
    }
    [[nodiscard]] static SendResult send(RoomSeat& seat, const Bytes& frame) {
        return seat.peer->send(*seat.peer, seat.address.get(), frame);
    }
    void give(RoomSeat& seat, Ref<RoomFrame> frame, bool counts, Instant now) {
        if (seat.peer->output.empty()) {
            const SendResult sent = send(seat, frame->bytes);
            if (sent == SendResult::refused)
                return owner_->fail(seat, make_error_code(RoomErrc::frame_too_large));
            if (sent != SendResult::busy) return seat.peer->said(now);
            wait(*seat.peer, now);
        }
        seat.peer->output.push({seat.address, std::move(frame), seat.id, counts});
    }
    void wait(RoomPeer& peer, Instant now) noexcept {
        peer.output_ends = smaller(peer.output_ends, after(now, options_->heartbeat.dead_after));
        peer.wake->touch();
    }
    /// Nothing waits for its connection: what it has missed, and what it was to be told.
    void settle(RoomSeat& seat, Instant now) {
        if (seat.stage != SeatStage::member) return;
        tell_statuses(seat, now);
        if (seat.lag_from && seat.room->core.live()) resync(seat, now);
        // What it still has to take ends here another time; if it has taken all, nothing else will.
        if (seat.stage != SeatStage::member || !seat.peer->output.empty()) return;
        if (seat.unaware) go_on_telling(seat, seat.unaware->until == 0, now);
        if (seat.asked && seat.stage == SeatStage::member && seat.room->core.live())
            ask_again(seat, now);
    }
    void tell_statuses(RoomSeat& seat, Instant now) {
        if (seat.statuses == 0) return;
        const Bytes frame = seat.ops->write(seat, {Kind::stored, {}});
        for (; seat.statuses != 0; --seat.statuses) {
            const SendResult sent = send(seat, frame);
            if (sent == SendResult::busy) return wait(*seat.peer, now);
            seat.peer->said(now);
        }
    }
    void resync(RoomSeat& seat, Instant now) {
        Room& room = static_cast<Room&>(*seat.room);
        const Bytes had = std::move(*seat.lag_from);
        seat.lag_from.reset();
        RoomSeat* const one = &seat;
        if (const std::error_code e =
                send_state({&one, 1}, room, had, Kind::update, now, options_->client_bytes_max))
            return owner_->fail(seat, e);
        if (seat.peer->output.counted() > waiting_max())
            return owner_->fail(seat, make_error_code(RoomErrc::too_slow));
        ++counters_->resyncs;
    }
    void ask_again(RoomSeat& seat, Instant now) {
        const Bytes theirs = *seat.take_question();
        seat.retry_at = never;
        if (const std::error_code e = answer(seat, theirs, now)) owner_->fail(seat, e);
    }

    /// Frames of a connection that wait: more are an abuse.
    static constexpr std::size_t own_max = 256;

    Owner* owner_;
    const RoomOptions* options_;
    RoomCounters* counters_;
    RoomAnswers<Owner>* answers_;
    Instant turn_ = always;
    std::size_t done_ = 0;  ///< bytes that were compared and cut in this turn
    std::vector<Written> frames_;
};

}}}  // namespace belay::detail
