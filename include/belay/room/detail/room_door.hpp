// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_door.hpp
/// RoomDoor: who comes to the rooms of a RoomManager, who is let in, and who has to go.
#pragma once

#include <deque>         // std::deque
#include <map>           // std::map
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/room_answers.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/room_notice.hpp>
#include <belay/room/detail/room_socket.hpp>
#include <belay/room/detail/room_trunk.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients of a manager, all but what they say. `Hub` is what derives from it, has the rooms,
/// and serves the clients.
///
/// Thread safety: home thread only.
template <class Hub, AuthorizerLike Authorizer, DocumentLike Document>
class RoomDoor {
public:
    enum class Phase : std::uint8_t { idle, running, stopping, stopped };
    using Kind = part::RoomMessage::Kind;
    using Room = RoomState<Document>;
    template <class T, class P>
    using Socket = RoomSocket<Hub, T, P>;

    RoomDoor(Authorizer authorizer, const RoomOptions& options)
        : options_{options},
          authorizer_{std::move(authorizer)},
          answers_{*this, options_},
          delivery_{*this, options_, counters_, answers_} {}
    RoomDoor(const RoomDoor&) = delete;
    RoomDoor& operator=(const RoomDoor&) = delete;

    // ---- for the manager -----------------------------------------------------------------------

    /// Outside of a turn: it is this late.
    void at(Instant now) noexcept { now_ = larger(now_, now); }
    /// A client at the door.   Returns: its id; 0 if it was sent away without a word.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request, Instant now) {
        BELAY_PRECONDITION(nest_.attached(),
                           "RoomManager::accept: the manager must be attached to a driver first");
        now_ = larger(now_, now);
        if (crowded()) {
            refused(request, {}, make_error_code(RoomErrc::too_many));
            return 0;
        }
        if constexpr (AddressesFrames<Protocol>) {
            return hub().begin(make<RoomTrunk<Hub, Transport, Protocol>>(
                std::move(transport), std::move(protocol), std::move(request)));
        } else {
            auto& seat = make<Socket<Transport, Protocol>>(std::move(transport),
                                                           std::move(protocol), std::move(request));
            enlist(seat);
            const std::error_code error = why_not_yet();
            admit(seat, error ? error : why_not(seat.request));
            return seat.id;
        }
    }
    /// Says goodbye to a client.   Returns: whether there was one.
    bool remove(std::uint64_t id) {
        if (RoomSeat* const found = seat(id)) {
            if (found->stage == SeatStage::closing) return false;
            dismiss(*found, {});
            return true;
        }
        const auto found = trunks_.find(id);
        if (found == trunks_.end() || found->second->ends) return false;
        dismiss(*found->second, {});
        return true;
    }
    [[nodiscard]] RoomSeat* seat(std::uint64_t id) const {
        const auto found = seats_.find(id);
        return found != seats_.end() ? found->second : nullptr;
    }
    /// Asks again what somebody may do; a client in the room goes on meanwhile.
    void check(RoomSeat& seat) {
        seat.wait_ends = after(now_, options_.check_within);
        seat.overtaken = false;
        authorizer_.check(seat.request, seat.check.ask());
        seat.count();
        seat.waker.touch();
    }
    /// Tells a client to go; `why` says with which code.
    void dismiss(RoomSeat& seat, const std::error_code& why) {
        if (seat.stage == SeatStage::closing) return;
        if (seat.peer->trunk != nullptr && ends_connection(seat, why))
            return dismiss(*seat.peer->trunk, why);
        const SeatStage was = seat.stage;
        release(seat);
        if (was == SeatStage::member || seat.peer->trunk != nullptr)
            return seat.ops->close(seat, why);
        // A close code is read behind an upgrade that was answered, and nowhere else.
        seat.farewell = why;
        seat.wait_ends = after(now_, options_.check_within);
        if (was != SeatStage::opening) seat.ops->open(seat);
        seat.waker.touch();
    }
    /// All documents of a connection, and itself.
    void dismiss(RoomTrunkBase& trunk, const std::error_code& why) {
        if (std::exchange(trunk.ends, true)) return;
        release_all(trunk);
        trunk.token_ends = never;
        hub().count(trunk);
        trunk.farewell = why;
        trunk.wait_ends = after(now_, options_.check_within);
        trunk.ops->open(trunk);
        trunk.waker.touch();
    }
    void fail(RoomSeat& seat, const std::error_code& why) {
        if (seat.stage == SeatStage::closing) return;
        refused(seat.request, seat.grant.user, why);
        dismiss(seat, why);
    }
    void fail_peer(RoomPeer& peer, const std::error_code& why) {
        if (peer.trunk == nullptr) return fail(*peer.seats.front(), why);
        if (peer.trunk->ends) return;
        refused(peer.trunk->request, {}, why);
        dismiss(*peer.trunk, why);
    }

    [[nodiscard]] std::size_t clients() const noexcept { return seats_.size(); }
    [[nodiscard]] std::vector<RoomSeat*> all() const {
        std::vector<RoomSeat*> found;
        for (const auto& [id, one] : seats_) found.push_back(one);
        return found;
    }

    /// Something that somebody may want to hear of.
    void tell(RoomEvent::Kind kind, const RoomBase& room, const RoomSeat* seat = nullptr) {
        if (!tells_events_) return;
        RoomEvent event{.kind = kind, .board = room.id, .clients = room.members.size()};
        if (seat != nullptr) event.user = seat->grant.user;
        if (seat != nullptr) event.client.value = seat->client();
        notices_.push_back(std::move(event));
    }

    RoomCounters counters_{};
    std::deque<RoomNotice> notices_;
    bool tells_events_ = false;

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
    [[nodiscard]] bool empty() const noexcept { return seats_.empty() && trunks_.empty(); }
    void dismiss_all(const std::error_code& why) {
        for (const auto& [id, trunk] : trunks_) dismiss(*trunk, why);
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
        ended_trunks_.clear();
        for (const auto& [id, trunk] : std::exchange(trunks_, {})) trunk->ops->end(*trunk);
        bare_ = 0;
    }
    void reap() {
        for (RoomSeat* const seat : std::exchange(ended_, {})) {
            leave(*seat);
            set_stage(*seat, SeatStage::closing);
            seats_.erase(seat->id);
            std::erase(seat->peer->seats, seat);
            if (seat->peer->trunk != nullptr) hub().count(*seat->peer->trunk);
            seat->ops->end(*seat);
        }
        for (RoomTrunkBase* const trunk : std::exchange(ended_trunks_, {})) {
            trunks_.erase(trunk->id);
            --bare_;
            trunk->ops->end(*trunk);
        }
    }

    // ---- for the rooms -------------------------------------------------------------------------

    void fail_author(std::uint64_t author, const std::error_code& why) {
        if (RoomSeat* const found = seat(author)) return fail(*found, why);
        const auto found = trunks_.find(author);
        if (found != trunks_.end()) fail_peer(*found->second, why);
    }
    void note_aware(RoomBase& room) {
        if (!room.awareness.changed() || room.over || std::exchange(room.aware, true)) return;
        aware_.push_back(&room);
    }

    RoomOptions options_;
    Random bits_;
    Instant now_ = always;
    Phase phase_ = Phase::idle;
    Authorizer authorizer_;
    RoomAnswers<RoomDoor> answers_;
    RoomDelivery<RoomDoor, Document> delivery_;
    std::vector<RoomBase*> aware_;  ///< whose clients are to be told who is here

    [[nodiscard]] Hub& hub() noexcept { return static_cast<Hub&>(*this); }

    // ---- at the door ---------------------------------------------------------------------------

    /// There are so many that none is even told.
    [[nodiscard]] bool crowded() const noexcept {
        const std::size_t all = seats_.size() + bare_;
        return all >= options_.clients_max && all - options_.clients_max >= options_.waiting_max;
    }
    template <class M, class... A>
    [[nodiscard]] M& make(A&&... args) {
        auto made = nest_.template make<M>(hub(), ++last_id_, std::forward<A>(args)...,
                                           RoomHouse{options_, answers_.waiting});
        M& machine = *made;
        machine.self = std::move(made);
        return machine;
    }
    template <class Branch, class Trunk>
    [[nodiscard]] Branch& make_branch(Trunk& trunk, BytesView name, RoomRequest request) {
        auto made = nest_.template make<Branch>(trunk, ++last_id_, name, std::move(request));
        Branch& branch = *made;
        branch.self = std::move(made);
        return branch;
    }
    void enlist(RoomSeat& seat) {
        seats_.emplace(seat.id, &seat);
        ++waiting_;
        seat.count();
    }
    void admit(RoomSeat& seat, const std::error_code& error) {
        if (error) return fail(seat, error);
        check(seat);
    }
    [[nodiscard]] std::error_code why_not_yet() const noexcept {
        if (phase_ != Phase::running) return RoomErrc::manager_stopped;
        if (waiting_ > options_.waiting_max || seats_.size() > options_.clients_max)
            return RoomErrc::too_many;
        return {};
    }
    /// Of a document of a trunk. The first takes the trunk's own place.
    [[nodiscard]] std::error_code why_not_another(const RoomTrunkBase& trunk) const noexcept {
        if (phase_ != Phase::running) return RoomErrc::manager_stopped;
        const bool first = trunk.seats.empty();
        if ((!first && crowded()) || seats_.size() >= options_.clients_max ||
            (!trunk.waits && waiting_ >= options_.waiting_max))
            return RoomErrc::too_many;
        return {};
    }
    [[nodiscard]] static std::error_code why_not(const RoomRequest& request) noexcept {
        return is_room_id(request.board) ? std::error_code{} : RoomErrc::bad_room_id;
    }
    void on_grant(RoomSeat& seat) {
        std::optional<Grant> grant = seat.check.take();
        seat.count();
        if (seat.stage == SeatStage::closing) return;
        const bool lets_in = grant && grant->access != Access::none;
        const bool overtaken = std::exchange(seat.overtaken, false);
        if (overtaken && !lets_in) return check_until(seat, seat.wait_ends);
        if (seat.stage != SeatStage::opening) seat.wait_ends = never;
        if (!grant) return fail(seat, make_error_code(RoomErrc::no_answer));
        if (!lets_in) {
            // Who is refused may be another than who was there, and leaves.
            const auto why =
                make_error_code(grant->user.empty() ? RoomErrc::unauthorized : RoomErrc::forbidden);
            refused(seat.request, grant->user, why);
            return dismiss(seat, why);
        }
        const bool could_edit = seat.may_edit();
        hub().take_grant(seat, std::move(*grant));
        seat.grant_ends = after(now_, seat.grant.valid_for);
        seat.renew_at = never;
        // Early enough for the answer, and for the check of what it brings.
        if (seat.peer->trunk != nullptr)
            seat.renew_at =
                before(seat.grant_ends, smaller(options_.check_within, seat.grant.valid_for / 2));
        if (seat.stage == SeatStage::checking) return find_place(seat);
        seat.told_denied = false;
        if (seat.stage != SeatStage::member) return;
        welcome(seat);
        if (seat.stage == SeatStage::member && seat.may_edit() && !could_edit)
            hub().ask_for_more(seat);
        if (seat.stage == SeatStage::member && overtaken) check(seat);
    }
    /// Who sends one token after the other puts off no answer that may end what there is.
    void check_until(RoomSeat& seat, Instant end) {
        check(seat);
        seat.wait_ends = smaller(seat.wait_ends, end);
    }
    /// Where frames have addresses, a client hears what it may do.
    void welcome(RoomSeat& seat) {
        if (seat.peer->trunk == nullptr) return;
        const part::RoomMessage message{Kind::granted, as_bytes(to_string(seat.grant.access)), {}};
        delivery_.tell(*seat.peer, seat.address, seat.ops->write(seat, message), now_);
    }
    void find_place(RoomSeat& seat) {
        std::error_code error;
        RoomBase* const room = hub().find_or_make(seat.request.board, error);
        if (room == nullptr) return fail(seat, error);
        if (room->core.clients() >= options_.clients_per_room_max)
            return fail(seat, make_error_code(RoomErrc::too_many));
        seat.room = room;
        hub().step(*room, timeline::RoomCore::Event::joined);
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

    /// What a client that has several documents cannot help in one of them, or has itself to blame
    /// for, ends all: then it dials again. Rights end that document.
    [[nodiscard]] static bool ends_connection(const RoomSeat& seat, const std::error_code& why) {
        if (!why) return true;
        return seat.stage == SeatStage::member && why != RoomErrc::unauthorized &&
               why != RoomErrc::forbidden && why != RoomErrc::history_reset &&
               why != RoomErrc::room_erased;
    }
    void release(RoomSeat& seat) {
        withdraw(seat);
        seat.drop_check();
    }
    /// All but its check.
    void withdraw(RoomSeat& seat) {
        leave(seat);
        set_stage(seat, SeatStage::closing);
        seat.let_go();
    }
    void release_all(RoomTrunkBase& trunk) {
        for (RoomSeat* const seat : trunk.seats) {
            if (seat->stage != SeatStage::closing) release(*seat);
            seat->drop_check();
            seat->waker.touch();
        }
        trunk.rest();
    }
    void leave(RoomSeat& seat) {
        RoomTrunkBase* const trunk = seat.peer->trunk;
        if (trunk != nullptr && seat.stage == SeatStage::member && --trunk->members == 0)
            trunk->token_ends = after(now_, options_.token_within);
        RoomBase* const room = std::exchange(seat.room, nullptr);
        if (room == nullptr) return;
        if (std::erase(room->members, &seat) != 0) tell(RoomEvent::Kind::left, *room, &seat);
        std::erase(room->waiting, &seat);
        if (room->over) return;
        room->awareness.close(seat.id, now_);
        if (seat.stage == SeatStage::member) hub().network_.gone(*room, seat);
        note_aware(*room);
        hub().step(*room, timeline::RoomCore::Event::left);
    }
    void set_stage(RoomSeat& seat, SeatStage stage) noexcept {
        const auto waits = [](SeatStage s) {
            return s == SeatStage::checking || s == SeatStage::waiting;
        };
        if (waits(seat.stage) && !waits(stage)) --waiting_;
        seat.stage = stage;
        seat.count();
    }
    void refused(const RoomRequest& request, const std::string& user, const std::error_code& why) {
        ++counters_.refused;
        notices_.push_back(RoomRefusal{request.board, user, request.ip, why});
    }

    std::vector<RoomSeat*> ended_;
    std::vector<RoomTrunkBase*> ended_trunks_;
    std::map<std::uint64_t, RoomTrunkBase*> trunks_;
    std::size_t waiting_ = 0;  ///< seats, and trunks without any that were not let in anywhere
    std::size_t bare_ = 0;     ///< trunks without seats

private:
    driver::MachineGroup nest_;
    std::map<std::uint64_t, RoomSeat*> seats_;
    std::uint64_t last_id_ = 0;
};

}}}  // namespace belay::detail
