// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_door.hpp
/// RoomDoor: who comes to the rooms of a RoomManager, who is let in, and who has to go.
#pragma once

#include <deque>         // std::deque
#include <map>           // std::map
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <variant>       // std::variant
#include <vector>        // std::vector

#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/room_socket.hpp>
#include <belay/room/room_observer.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What an observer will hear when the manager is consistent; an error code: it is stopped.
using RoomNotice = std::variant<RoomRefusal, RoomDivergence, RoomFailure, std::error_code>;

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

/// The clients of a manager, all but what they say. `Hub` is what derives from it, has the rooms,
/// and serves the clients.
///
/// Thread safety: home thread only.
template <class Hub, AuthorizerLike Authorizer, DocumentLike Document>
class RoomDoor {
public:
    enum class Phase : std::uint8_t { idle, running, stopping, stopped };
    using Kind = RoomMessage::Kind;
    using Room = RoomState<Document>;
    template <class T, class P>
    using Socket = RoomSocket<Hub, T, P>;

    RoomDoor(Authorizer authorizer, const RoomOptions& options)
        : options_{options},
          authorizer_{std::move(authorizer)},
          delivery_{*this, options_, counters_} {
        delivery_.count_answers_in(answers_);
    }
    RoomDoor(const RoomDoor&) = delete;
    RoomDoor& operator=(const RoomDoor&) = delete;

    // ---- for the manager -----------------------------------------------------------------------

    /// A client at the door.   Returns: its id; 0 if it was sent away without a word.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request, Instant now) {
        BELAY_PRECONDITION(nest_.attached(),
                           "RoomManager::accept: must be attached to a driver before");
        now_ = larger(now_, now);
        if (seats_.size() >= options_.clients_max + options_.waiting_max) {
            refused(request, {}, make_error_code(RoomErrc::too_many));
            return 0;
        }
        auto made = nest_.template make<Socket<Transport, Protocol>>(
            hub(), ++last_id_, std::move(transport), std::move(protocol), std::move(request),
            options_, answers_);
        auto& seat = *made;
        seat.self = std::move(made);
        seats_.emplace(seat.id, &seat);
        ++waiting_;
        const std::error_code error = why_not(seat.request);
        if (error) {
            fail(seat, error);
        } else {
            check(seat);
        }
        return seat.id;
    }
    [[nodiscard]] RoomSeat* seat(std::uint64_t id) const {
        const auto found = seats_.find(id);
        return found != seats_.end() ? found->second : nullptr;
    }
    /// Asks again what somebody may do; a client in the room goes on meanwhile.
    void check(RoomSeat& seat) {
        seat.wait_ends = after(now_, options_.check_within);
        authorizer_.check(seat.request, seat.check.ask());
        seat.waker.touch();
    }
    /// Tells a client to go; `why` says with which code.
    void dismiss(RoomSeat& seat, const std::error_code& why) {
        if (seat.stage == SeatStage::closing) return;
        const SeatStage was = seat.stage;
        leave(seat);
        set_stage(seat, SeatStage::closing);
        seat.let_go();
        seat.check.drop();
        const Failure farewell = room_close(why, options_.close_codes);
        if (was == SeatStage::member) return seat.ops->close(seat, farewell, options_.linger_max);
        // A close code is read behind an upgrade that was answered, and nowhere else.
        seat.farewell = farewell;
        seat.wait_ends = after(now_, options_.check_within);
        if (was != SeatStage::opening) seat.ops->open(seat);
        seat.waker.touch();
    }
    void fail(RoomSeat& seat, const std::error_code& why) {
        if (seat.stage == SeatStage::closing) return;
        refused(seat.request, seat.grant.user, why);
        dismiss(seat, why);
    }

    [[nodiscard]] std::size_t clients() const noexcept { return seats_.size(); }

    RoomCounters counters_{};
    std::deque<RoomNotice> notices_;

protected:
    void attach(const Waker& waker) {
        bits_ = Random{waker.seed()};
        nest_.attach(waker.nested(0));
    }
    ~RoomDoor() = default;

    [[nodiscard]] Instant deadline() const noexcept {
        return ended_.empty() ? nest_.deadline() : always;
    }
    void turn() { static_cast<void>(nest_.advance(now_)); }
    [[nodiscard]] bool empty() const noexcept { return seats_.empty(); }
    [[nodiscard]] std::vector<RoomSeat*> all() const {
        std::vector<RoomSeat*> found;
        for (const auto& [id, one] : seats_) found.push_back(one);
        return found;
    }
    void dismiss_all(const std::error_code& why) {
        for (RoomSeat* const seat : all()) dismiss(*seat, why);
    }
    /// At once, and without a word.
    void end_all() {
        ended_.clear();
        for (RoomSeat* const seat : all()) {
            seats_.erase(seat->id);
            leave(*seat);
            set_stage(*seat, SeatStage::closing);
            seat->ops->end(*seat);
        }
    }
    void reap() {
        for (RoomSeat* const seat : std::exchange(ended_, {})) {
            leave(*seat);
            set_stage(*seat, SeatStage::closing);
            seats_.erase(seat->id);
            seat->ops->end(*seat);
        }
    }

    // ---- for the rooms -------------------------------------------------------------------------

    void fail_author(std::uint64_t author, const std::error_code& why) {
        if (RoomSeat* const found = seat(author)) fail(*found, why);
    }
    void note_aware(RoomBase& room) {
        if (!room.awareness.changed() || room.over || std::exchange(room.aware, true)) return;
        aware_.push_back(&room);
    }

    RoomOptions options_;
    Random bits_;
    Instant now_ = always;
    Phase phase_ = Phase::idle;
    std::size_t answers_ = 0;  ///< bytes that wait, over all clients
    Authorizer authorizer_;
    RoomDelivery<RoomDoor, Document> delivery_;
    std::vector<RoomBase*> aware_;  ///< whose clients are to be told who is here

    [[nodiscard]] Hub& hub() noexcept { return static_cast<Hub&>(*this); }

    // ---- at the door ---------------------------------------------------------------------------

    [[nodiscard]] std::error_code why_not(const RoomRequest& request) const noexcept {
        if (phase_ != Phase::running) return RoomErrc::manager_stopped;
        if (!is_room_id(request.board)) return RoomErrc::bad_room_id;
        if (waiting_ > options_.waiting_max || seats_.size() > options_.clients_max)
            return RoomErrc::too_many;
        return {};
    }
    void on_grant(RoomSeat& seat) {
        std::optional<Grant> grant = seat.check.take();
        if (seat.stage != SeatStage::opening) seat.wait_ends = never;
        if (!grant) return fail(seat, make_error_code(RoomErrc::no_answer));
        const bool could_edit = seat.may_edit();
        seat.grant = std::move(*grant);
        if (seat.grant.access == Access::none) {
            return fail(seat, make_error_code(seat.grant.user.empty() ? RoomErrc::unauthorized
                                                                      : RoomErrc::forbidden));
        }
        seat.grant_ends = after(now_, seat.grant.valid_for);
        if (seat.stage == SeatStage::checking) return find_place(seat);
        seat.told_denied = false;
        if (seat.stage == SeatStage::member && seat.may_edit() && !could_edit)
            hub().ask_for_more(seat);
    }
    void find_place(RoomSeat& seat) {
        std::error_code error;
        RoomBase* const room = hub().find_or_make(seat.request.board, error);
        if (room == nullptr) return fail(seat, error);
        if (room->core.clients() >= options_.clients_per_room_max)
            return fail(seat, make_error_code(RoomErrc::too_many));
        seat.room = room;
        hub().step(*room, RoomCore::Event::joined);
        if (room->core.live()) return open(seat);
        set_stage(seat, SeatStage::waiting);
        room->waiting.push_back(&seat);
    }
    void open(RoomSeat& seat) {
        const std::string& theirs = seat.request.epoch;
        if (!theirs.empty() && theirs != epoch_text(seat.room->epoch))
            return fail(seat, make_error_code(RoomErrc::history_reset));
        set_stage(seat, SeatStage::opening);
        seat.wait_ends = after(now_, options_.check_within);
        seat.ops->open(seat);
    }

    // ---- the end -------------------------------------------------------------------------------

    void leave(RoomSeat& seat) {
        RoomBase* const room = std::exchange(seat.room, nullptr);
        if (room == nullptr) return;
        std::erase(room->members, &seat);
        std::erase(room->waiting, &seat);
        if (room->over) return;
        room->awareness.close(seat.id, now_);
        if (seat.stage == SeatStage::member) hub().network_.gone(*room, seat);
        note_aware(*room);
        hub().step(*room, RoomCore::Event::left);
    }
    void set_stage(RoomSeat& seat, SeatStage stage) noexcept {
        const auto waits = [](SeatStage s) {
            return s == SeatStage::checking || s == SeatStage::waiting;
        };
        if (waits(seat.stage) && !waits(stage)) --waiting_;
        seat.stage = stage;
    }
    void refused(const RoomRequest& request, const std::string& user, const std::error_code& why) {
        ++counters_.refused;
        notices_.push_back(RoomRefusal{request.board, user, request.ip, why});
    }

    std::vector<RoomSeat*> ended_;

private:
    driver::Nest nest_;
    std::map<std::uint64_t, RoomSeat*> seats_;
    std::size_t waiting_ = 0;
    std::uint64_t last_id_ = 0;
};

}  // namespace belay::inline BELAY_ABI::detail
