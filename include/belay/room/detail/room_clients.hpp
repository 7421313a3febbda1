// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_clients.hpp
/// RoomClients: what the clients of a RoomManager say, and how they are watched.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/document_error.hpp>
#include <belay/room/detail/room_door.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients of a manager. `Hub` is what derives from it, and has the rooms.
///
/// Thread safety: home thread only.
template <class Hub, AuthorizerLike Authorizer, DocumentLike Document>
class RoomClients : public RoomDoor<Hub, Authorizer, Document> {
    using Door = RoomDoor<Hub, Authorizer, Document>;
    friend Door;

public:
    using Door::counters_;
    using Door::fail;
    using Kind = part::RoomMessage::Kind;
    using Room = RoomState<Document>;
    template <class T, class P>
    using Socket = RoomSocket<Hub, T, P>;

    // ---- for the nest --------------------------------------------------------------------------

    /// A client's turn.
    template <class T, class P>
    void serve(Socket<T, P>& seat) {
        RoomPeer& peer = seat.connection;
        if (seat.check.answered()) this->on_grant(seat);
        if (seat.link && (peer.read_at <= now_ || seat.stage != SeatStage::member)) {
            unsigned frames = 0;
            seat.link->advance(now_, options_.frames_per_turn_max, [&](const Bytes& frame, Lane) {
                if (seat.stage == SeatStage::opening) enter(seat);
                if (seat.stage != SeatStage::member) return;
                ++frames;
                on_frame(seat, frame, seat.protocol.read(frame));
            });
            if (seat.stage == SeatStage::member) pay(peer, frames);
            if (seat.link->opened()) on_opened(seat);
            if (seat.link->take_heard() && seat.stage == SeatStage::member)
                peer.pulse.sign_of_life(now_);
            if (seat.link->take_writable() && seat.stage == SeatStage::member) {
                peer.output_ends = never;
                delivery_.catch_up(peer, now_);
            }
        } else if (seat.link) {
            look_for_signs(peer, *seat.link);
        }
        peer.looked_at = now_;
        watch(seat);
        if (seat.stage == SeatStage::member) watch_alone(seat);
        if (!seat.gone() || std::exchange(seat.reaped, true)) return;
        // Nobody's error: a page that was closed, a network that went.
        if (seat.stage == SeatStage::opening || seat.farewell) ++counters_.upgrades_aborted;
        this->ended_.push_back(&seat);
    }

protected:
    using Door::delivery_;
    using Door::Door;
    using Door::now_;
    using Door::options_;

    /// A room is loaded, or loaded again.
    void on_loaded(Room& room) {
        const std::optional<Bytes> had = std::exchange(room.reloads, std::nullopt);
        const std::vector<RoomSeat*> members = room.members;
        std::error_code error;
        if (had) error = delivery_.send_state(members, room, *had, Kind::update, now_);
        for (RoomSeat* const seat : members) {
            // One that fails takes along what else is of its connection.
            if (seat->stage != SeatStage::member) continue;
            if (seat->peer->trunk == nullptr) seat->peer->read_at = always;
            seat->waker.touch();
            if (error) fail(*seat, error);
            greet(*seat);
            // A question that came due meanwhile could not be answered.
            if (seat->stage == SeatStage::member) delivery_.catch_up(*seat->peer, now_);
        }
        for (RoomSeat* const seat : std::exchange(room.waiting, {})) this->open(*seat);
    }
    void refuse_all(RoomBase& room, const std::error_code& why) {
        std::vector<RoomSeat*> all = room.waiting;
        all.insert(all.end(), room.members.begin(), room.members.end());
        for (RoomSeat* const seat : all) fail(*seat, why);
        // Those that are just being opened.
        for (RoomSeat* const seat : this->all()) {
            if (seat->room == &room) fail(*seat, why);
        }
    }
    /// Nothing is read of its clients until it is loaded.
    static void hold(RoomBase& room) noexcept {
        for (RoomSeat* const seat : room.members) hold(*seat);
    }
    /// Of one that has several documents nothing is read for this one.
    static void hold(RoomSeat& seat) noexcept {
        if (seat.peer->trunk == nullptr) seat.peer->read_at = never;
    }
    /// Tells an author that a change is durable.
    void acknowledge(const PendingUpdate& change) {
        RoomSeat* const author = change.statuses != 0 ? this->seat(change.author) : nullptr;
        if (author != nullptr && author->stage == SeatStage::member)
            delivery_.acknowledge(*author, change.statuses, now_);
    }

    void enter(RoomSeat& seat) {
        this->set_stage(seat, SeatStage::member);
        // One that is asked for again meanwhile is waited for no longer than others.
        if (!seat.check.waits()) seat.wait_ends = never;
        seat.peer->pulse.sign_of_life(now_);
        seat.peer->said(now_);
        seat.room->members.push_back(&seat);
        ++counters_.joined;
        this->tell(RoomEvent::Kind::joined, *seat.room, &seat);
        this->welcome(seat);
        if (seat.stage != SeatStage::member) return;
        if (!seat.room->core.live()) {
            hold(seat);
        } else {
            greet(seat);
        }
    }
    /// With that of somebody else one leaves, and the other comes, who has what was announced.
    void take_grant(RoomSeat& seat, Grant grant) {
        const bool changes = seat.stage == SeatStage::member && seat.grant.user != grant.user;
        if (changes) {
            std::erase(seat.room->members, &seat);
            this->tell(RoomEvent::Kind::left, *seat.room, &seat);
        }
        seat.grant = std::move(grant);
        if (!changes) return;
        seat.room->members.push_back(&seat);
        ++counters_.joined;
        this->tell(RoomEvent::Kind::joined, *seat.room, &seat);
        seat.room->awareness.hand_over(seat.id, seat.grant.user);
        this->hub().network_.says(*seat.room, seat);
    }
    void greet(RoomSeat& seat) {
        if (seat.stage != SeatStage::member) return;
        // Who has an address asks first, and counts the questions.
        const bool unasked = std::exchange(seat.unasked, false);
        if (seat.may_edit() && (seat.peer->trunk == nullptr || unasked)) ask_for_more(seat);
        if (seat.stage == SeatStage::member) delivery_.tell_awareness(seat, false, now_);
    }
    void ask_for_more(RoomSeat& seat) {
        seat.unasked = !seat.room->core.live();
        if (seat.unasked) return;
        const Bytes ours = delivery_.vector_of(static_cast<Room&>(*seat.room));
        delivery_.say(seat, {Kind::state_vector, ours}, now_);
    }

    // ---- what a client says --------------------------------------------------------------------

    void on_opened(RoomSeat& seat) {
        if (seat.stage == SeatStage::opening) enter(seat);
        if (seat.stage != SeatStage::closing || !seat.farewell) return;
        seat.wait_ends = never;
        seat.ops->close(seat, *std::exchange(seat.farewell, std::nullopt));
    }
    template <class R>
    void on_frame(RoomSeat& seat, BytesView frame, const R& read) {
        if (frame.size() > options_.frame_bytes_max)
            return fail(seat, make_error_code(RoomErrc::frame_too_large));
        if (!read.has_value()) return fail(seat, static_cast<std::error_code>(read.error()));
        on_message(seat, *read);
    }
    void on_message(RoomSeat& seat, const part::RoomMessage& said) {
        std::error_code error;
        auto& room = static_cast<Room&>(*seat.room);
        switch (said.kind) {
            case Kind::state_vector:
                pay(*seat.peer, room.document.bytes() / options_.piece_bytes_max);
                // One that has an address counts the answer to ours, and nothing from before.
                seat.owed = 1;
                note_divergence(seat, room, said.payload);
                error = delivery_.answer(seat, said.payload, now_);
                break;
            case Kind::state:
            case Kind::update:
                error = on_update(seat, room, said);
                break;
            case Kind::awareness:
                if (!options_.viewers_awareness && !seat.may_edit()) break;
                error = on_awareness(seat, room, said.payload);
                break;
            case Kind::query_awareness:
                pay(*seat.peer, room.awareness.size() / 16);
                delivery_.tell_awareness(seat, true, now_);
                break;
            default:
                break;
        }
        if (error) fail(seat, error);
    }
    [[nodiscard]] std::error_code on_awareness(RoomSeat& seat, Room& room, BytesView said) {
        const std::uint64_t before = room.awareness.version();
        const std::error_code error = room.awareness.hear({seat.id, seat.grant.user}, said, now_);
        if (!error && room.awareness.version() != before) this->hub().network_.says(room, seat);
        this->note_aware(room);
        room.waker.touch();
        return error;
    }
    [[nodiscard]] std::error_code on_update(RoomSeat& seat, Room& room,
                                            const part::RoomMessage& said) {
        // Each update is owed a status. What answers a state vector has in it all that was refused
        // before, and settles that.
        const bool answers = said.kind == Kind::state;
        const std::uint32_t due = answers ? std::exchange(seat.owed, 0) : 1;
        if (!seat.may_edit()) return on_viewers(seat, room, said, due);
        const std::size_t before = room.pending.size();
        const std::error_code error = this->hub().update(room, said.payload, seat.id);
        if (!error) {
            if (seat.peer->trunk == nullptr) return error;
            if (room.pending.size() == before) {
                delivery_.acknowledge(seat, due, now_);
            } else {
                room.pending.back().statuses = due;
            }
            return error;
        }
        if (!is_document_full(error)) return error;
        seat.owed = saturating_sum(seat.owed, due);
        // Closed, it would come back with the same at once, and for ever.
        if (!seat.told_denied) this->refused(seat.request, seat.grant.user, error);
        deny(seat, "the document is full");
        return {};
    }
    [[nodiscard]] std::error_code on_viewers(RoomSeat& seat, Room& room,
                                             const part::RoomMessage& said, std::uint32_t due) {
        const bool answers = said.kind == Kind::state;
        ++counters_.denied;
        if (answers && seat.peer->trunk == nullptr) return {};
        if (answers) {
            // Merged first, so that what it has is known.
            pay(*seat.peer, room.document.bytes() / options_.piece_bytes_max);
            static_cast<void>(delivery_.vector_of(room));
            auto adds = room.document.check(said.payload);
            if (!adds.has_value()) return static_cast<std::error_code>(adds.error());
            if (!*adds) {
                --counters_.denied;
                delivery_.acknowledge(seat, due, now_);
                return {};
            }
        }
        seat.owed = saturating_sum(seat.owed, due);
        deny(seat, "this client may not edit");
        return {};
    }
    [[nodiscard]] static std::uint32_t saturating_sum(std::uint32_t owed,
                                                      std::uint32_t due) noexcept {
        return due > ~owed ? ~std::uint32_t{0} : owed + due;
    }
    void deny(RoomSeat& seat, std::string_view why) {
        if (std::exchange(seat.told_denied, true)) return;
        delivery_.say(seat, {Kind::denied, as_bytes(why)}, now_);
    }
    void note_divergence(RoomSeat& seat, Room& room, BytesView theirs) {
        if constexpr (ComparesDocument<Document>) {
            if (!seat.may_edit() || !seat.ops->disjoint(seat, room.document.state_vector(), theirs))
                return;
            ++counters_.divergences;
            this->notices_.push_back(RoomDivergence{room.id, seat.grant.user});
        }
    }
    /// Frames cost time, by the rate that is allowed; who has none left is read later.
    void pay(RoomPeer& seat, std::size_t frames) {
        if (frames == 0) return;
        const Duration each = Duration{std::chrono::seconds{1}} / options_.frames_per_second;
        seat.paid_until =
            after(larger(seat.paid_until, now_), part::saturating_multiply(each, frames));
        // However much it asks for, it must be heard again before it counts as silent.
        const Duration most = part::saturating_add(
            part::saturating_multiply(each, options_.frames_burst), options_.heartbeat.every / 2);
        seat.paid_until = smaller(seat.paid_until, after(now_, most));
        const Instant read_at =
            before(seat.paid_until, part::saturating_multiply(each, options_.frames_burst));
        if (read_at > now_) seat.read_at = larger(seat.read_at, read_at);
    }
    /// Of one that is not read for a while: what has arrived since it was looked at last.
    template <class Link>
    void look_for_signs(RoomPeer& peer, Link& link) {
        if (link.has_signs()) peer.pulse.sign_of_life(peer.looked_at);
    }
    void watch(RoomSeat& seat) {
        if (seat.wait_ends <= now_) {
            const bool opens = seat.stage == SeatStage::opening || seat.stage == SeatStage::closing;
            seat.wait_ends = never;
            if (!opens) return fail(seat, make_error_code(RoomErrc::no_answer));
            return lose(seat);
        }
        if (seat.grant_ends <= now_) return fail(seat, make_error_code(RoomErrc::unauthorized));
        if (seat.retry_at <= now_) {
            seat.retry_at = never;
            delivery_.catch_up(*seat.peer, now_);
        }
    }
    /// The connection of one that has no other document.
    void watch_alone(RoomSeat& seat) {
        RoomPeer& peer = *seat.peer;
        if (peer.output_ends <= now_) return fail(seat, make_error_code(RoomErrc::too_slow));
        const Pulse::Due due = peer.pulse.check(now_);
        // A frozen peer takes no goodbye.
        if (due == Pulse::Due::lost) return lose(seat);
        if (due == Pulse::Due::ping || peer.say_at <= now_) ask_for_sign(seat);
    }
    void lose(RoomSeat& seat) {
        this->leave(seat);
        this->set_stage(seat, SeatStage::closing);
        seat.let_go();
        seat.farewell.reset();
        seat.ops->abort(seat);
    }
    void ask_for_sign(RoomSeat& seat) {
        seat.peer->said(now_);
        if (seat.stage == SeatStage::member && seat.peer->output.empty())
            delivery_.say(seat, {Kind::query_awareness, {}, {}}, now_);
    }
};

}}}  // namespace belay::detail
