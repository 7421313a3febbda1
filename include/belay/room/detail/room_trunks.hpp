// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_trunks.hpp
/// RoomTrunks: what connections say that have many documents, and how they are watched.
#pragma once

#include <algorithm>     // std::none_of
#include <optional>      // std::nullopt
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/room/detail/room_clients.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients of a manager, those of protocols whose frames have addresses included: each
/// connection is a trunk, and each of its documents a seat like any other, whose frames are handed
/// to it. `Hub` is what derives from it, and has the rooms.
///
/// Thread safety: home thread only.
template <class Hub, AuthorizerLike Authorizer, DocumentLike Document>
class RoomTrunks : public RoomClients<Hub, Authorizer, Document> {
    using Clients = RoomClients<Hub, Authorizer, Document>;
    friend RoomDoor<Hub, Authorizer, Document>;

public:
    using Kind = part::RoomMessage::Kind;
    using Clients::serve;

    // ---- for the nest --------------------------------------------------------------------------

    template <class T, class P>
    void serve(RoomTrunk<Hub, T, P>& trunk) {
        // Of one that is not read the end is behind what it has said: that is read then.
        if (trunk.link && trunk.full() && trunk.look_at <= now_) {
            trunk.look_at = after(now_, std::chrono::seconds{1});
            trunk.hung_up = trunk.link->has_hung_up();
            if (!trunk.ends) this->look_for_signs(trunk, *trunk.link);
            trunk.looked_at = now_;
        }
        if (trunk.link && (trunk.ends || (trunk.read_at <= now_ && !trunk.full()))) {
            std::size_t frames = 0;
            // One by one: what is read when enough is held was in the way of nothing before, and
            // what costs much is paid before more is read.
            for (unsigned left = options_.frames_per_turn_max; left != 0; --left) {
                trunk.link->advance(now_, 1, [&](const Bytes& frame, Lane) {
                    on_opened(trunk);
                    if (trunk.ends) return;
                    ++frames;
                    hear(trunk, frame);
                });
                if (!trunk.link->has_arrived() || trunk.full() || trunk.read_at > now_) break;
            }
            this->pay(trunk, frames);
            trunk.looked_at = now_;
            if (trunk.link->opened()) on_opened(trunk);
            if (trunk.link->take_heard() && !trunk.ends) trunk.pulse.sign_of_life(now_);
            if (trunk.link->take_writable() && !trunk.ends) {
                trunk.output_ends = never;
                delivery_.catch_up(trunk, now_);
            }
        }
        if (trunk.unheard() && trunk.try_at <= now_) {
            trunk.try_at = after(now_, std::chrono::milliseconds{50});
            delivery_.catch_up(trunk, now_);
        }
        watch_trunk(trunk);
        if (!trunk.gone()) return;
        // What it has said before its end counts, though it is taken later.
        trunk.hung_up = true;
        if (trunk.has_words()) return;
        // Nobody's error: a page that was closed, a network that went.
        if (trunk.wait_ends != never && !trunk.proven) ++this->counters_.upgrades_aborted;
        end(trunk);
        // Its seats go first.
        if (trunk.seats.empty() && !std::exchange(trunk.reaped, true))
            this->ended_trunks_.push_back(&trunk);
    }
    template <class Trunk>
    void serve(RoomBranch<Trunk>& branch) {
        Trunk& trunk = *branch.trunk;
        if (branch.check.answered()) this->on_grant(branch);
        if (branch.stage == SeatStage::opening) enter_branch(branch);
        // What was held costs no less than what comes now.
        for (unsigned left = options_.frames_per_turn_max; left != 0; --left) {
            if (branch.stage != SeatStage::member || branch.held.empty() || !is_live(branch)) break;
            if (trunk.read_at > now_) break;
            const Bytes frame = std::move(branch.held.front());
            branch.held.pop_front();
            trunk.held_bytes -= frame.size();
            trunk.waker.touch();
            const auto read = trunk.protocol.read(BytesView{frame}.subspan(branch.name().size()));
            if (!read.has_value()) continue;
            if (read->kind == Kind::token) --branch.held_tokens;
            take(branch, *read);
            branch.count();
        }
        if (branch.leaves && branch.held.empty() && branch.stage == SeatStage::member)
            take_back(trunk, branch);
        if (branch.stage != SeatStage::closing) this->watch(branch);
        if (branch.stage == SeatStage::member && branch.renew_at <= now_) {
            branch.renew_at = never;
            delivery_.tell(trunk, branch.address, trunk.protocol.write({Kind::token, {}, {}}),
                           now_);
        }
        if (branch.stage != SeatStage::closing) return;
        if (branch.farewell && !trunk.ends) say_goodbye(branch);
        trunk.forget(branch);
        if (branch.wait_ends <= now_) branch.drop_check();
        if (branch.check.waits()) return;
        if (!std::exchange(branch.reaped, true)) this->ended_.push_back(&branch);
    }

protected:
    using Clients::Clients;
    using Clients::delivery_;
    using Clients::now_;
    using Clients::options_;

private:
    // ---- a connection --------------------------------------------------------------------------

    /// It has come.
    std::uint64_t begin(RoomTrunkBase& trunk) {
        this->trunks_.emplace(trunk.id, &trunk);
        count(trunk);
        trunk.wait_ends = after(now_, options_.check_within);
        if (const std::error_code error = this->why_not_yet()) {
            this->fail_peer(trunk, error);
        } else {
            trunk.ops->open(trunk);
        }
        return trunk.id;
    }
    /// A connection counts for itself while it has no document, and then these do.
    void count(RoomTrunkBase& trunk) noexcept {
        const bool bare = trunk.seats.empty();
        const bool waits = bare && !trunk.proven && !trunk.ends;
        if (std::exchange(trunk.bare, bare) != bare) bare ? ++this->bare_ : --this->bare_;
        if (std::exchange(trunk.waits, waits) != waits) waits ? ++this->waiting_ : --this->waiting_;
    }
    template <class Trunk>
    void on_opened(Trunk& trunk) {
        if (trunk.ends && trunk.farewell) {
            trunk.wait_ends = never;
            return trunk.ops->close(trunk, *std::exchange(trunk.farewell, std::nullopt));
        }
        if (trunk.ends || trunk.wait_ends == never) return;
        trunk.wait_ends = never;
        trunk.token_ends = after(now_, options_.token_within);
        trunk.pulse.sign_of_life(now_);
    }
    template <class Trunk>
    void watch_trunk(Trunk& trunk) {
        if (trunk.wait_ends <= now_) return abort(trunk);
        if (trunk.ends) return;
        if (trunk.token_ends <= now_ && trunk.seats.empty())
            return this->fail_peer(trunk, make_error_code(RoomErrc::unauthorized));
        if (trunk.output_ends <= now_)
            return this->fail_peer(trunk, make_error_code(RoomErrc::too_slow));
        const Pulse::Due due = trunk.pulse.check(now_);
        if (due == Pulse::Due::lost) return abort(trunk);
        if (due == Pulse::Due::ping || trunk.say_at <= now_) ask_for_sign(trunk);
    }
    template <class Trunk>
    void ask_for_sign(Trunk& trunk) {
        trunk.said(now_);
        if (!trunk.output.empty()) return;
        if (trunk.pings) return delivery_.tell(trunk, {}, trunk.protocol.write({Kind::ping}), now_);
        // Of older ones any document will do.
        for (RoomSeat* const seat : trunk.seats) {
            if (seat->stage == SeatStage::member)
                return delivery_.say(*seat, {Kind::query_awareness, {}, {}}, now_);
        }
    }
    template <class Trunk>
    void abort(Trunk& trunk) {
        end(trunk);
        trunk.closed.reset();
        if (trunk.link) trunk.link->abort();
        trunk.waker.touch();
    }
    void end(RoomTrunkBase& trunk) {
        trunk.wait_ends = trunk.token_ends = never;
        if (std::exchange(trunk.ends, true)) return;
        count(trunk);
        this->release_all(trunk);
    }

    // ---- what it says --------------------------------------------------------------------------

    /// The longest name of a document, with what stands in front of it and behind.
    static constexpr std::size_t address_bytes_max = 256;
    /// A check costs as many frames.
    static constexpr std::size_t token_frames = 16;

    template <class Trunk>
    void hear(Trunk& trunk, const Bytes& frame) {
        const auto bad = [&](RoomErrc why) { this->fail_peer(trunk, make_error_code(why)); };
        const std::size_t most = trunk.proven ? options_.frame_bytes_max : options_.piece_bytes_max;
        if (frame.size() > most) return bad(RoomErrc::frame_too_large);
        if (!trunk.asked) {
            trunk.token_bytes += frame.size();
            if (trunk.token_bytes > options_.bytes_until_token)
                return bad(RoomErrc::frame_too_large);
        }
        const auto address = trunk.protocol.address(frame);
        if (!address.has_value())
            return this->fail_peer(trunk, static_cast<std::error_code>(address.error()));
        const BytesView name = *address;
        if (name.size() > address_bytes_max) return bad(RoomErrc::frame_too_large);
        const auto read = trunk.protocol.read(BytesView{frame}.subspan(name.size()));
        if (!read.has_value())
            return this->fail_peer(trunk, static_cast<std::error_code>(read.error()));
        const part::RoomMessage& said = *read;
        if (said.kind == Kind::token && frame.size() > options_.bytes_until_token)
            return bad(RoomErrc::frame_too_large);
        if (name.empty() != (said.kind == Kind::ping || said.kind == Kind::pong))
            return bad(RoomErrc::unknown_message);
        if (said.kind == Kind::ping)
            return delivery_.tell(trunk, {}, trunk.protocol.write({Kind::pong}), now_);
        if (said.kind == Kind::pong) return;
        route(trunk, name, said, frame);
    }
    template <class Trunk>
    void route(Trunk& trunk, BytesView name, const part::RoomMessage& said, const Bytes& frame) {
        auto* branch = trunk.find(name);
        // What its own turn would do first: an answer that is there counts.
        if (branch != nullptr && branch->check.answered()) {
            this->on_grant(*branch);
            if (trunk.ends) return;
            branch = trunk.find(name);
        }
        if (branch == nullptr) {
            // Of a document that it is not let into nothing counts but a token.
            if (said.kind == Kind::token && !trunk.hung_up) knock(trunk, name, said);
            return;
        }
        if (said.kind == Kind::goodbye) {
            // What was said before counts, as before the end of the connection.
            return branch->has_words() ? branch->leave_behind_words() : take_back(trunk, *branch);
        }
        // A right may end while a room is loaded again.
        const bool heard = said.kind == Kind::token || (branch->held.empty() && is_live(*branch));
        if (branch->stage == SeatStage::member && heard) return take(*branch, said);
        branch->held.push_back(frame);
        trunk.held_bytes += frame.size();
        if (said.kind == Kind::token) ++branch->held_tokens;
    }
    /// Its check goes on, as one of those that its connection may have.
    template <class Trunk, class Branch>
    void take_back(Trunk& trunk, Branch& branch) {
        const Instant ends = branch.wait_ends;
        this->withdraw(branch);
        branch.wait_ends = branch.check.waits() ? ends : never;
        trunk.forget(branch);
        branch.waker.touch();
    }
    template <class Trunk>
    void knock(Trunk& trunk, BytesView name, const part::RoomMessage& said) {
        trunk.asked = true;
        trunk.pings = trunk.pings || !said.version.empty();
        this->pay(trunk, token_frames);
        // Nobody tries again whose document is refused, but whose connection is closed.
        if (const std::error_code error = this->why_not_another(trunk))
            return this->fail_peer(trunk, error);
        RoomRequest request = trunk.request;
        request.board = trunk.protocol.board(name);
        // A name is a peer's, as one in a URL is: one that is none is shown to nobody.
        if (!is_board_of_url(request.board)) request.board.clear();
        request.token = as_text(said.payload);
        request.epoch.clear();
        // Whose tokens were all refused so far is not asked about any more.
        const bool late = trunk.token_ends <= now_ &&
                          std::none_of(trunk.seats.begin(), trunk.seats.end(), is_let_in);
        if (late || !trunk.takes_another()) {
            const auto why = make_error_code(late ? RoomErrc::unauthorized : RoomErrc::too_many);
            this->refused(request, {}, why);
            return refuse(trunk, Ref<RoomFrame>::make(to_bytes(name)), why);
        }
        auto& branch =
            this->template make_branch<typename Trunk::Branch>(trunk, name, std::move(request));
        trunk.seats.push_back(&branch);
        count(trunk);
        trunk.branches.emplace(to_bytes(name), &branch);
        this->enlist(branch);
        this->admit(branch, this->why_not(branch.request));
    }
    /// Somebody who waits for a room that is slow has shown who he is.
    [[nodiscard]] static bool is_let_in(const RoomSeat* seat) noexcept {
        return seat->stage == SeatStage::waiting || seat->stage == SeatStage::opening;
    }
    template <class Trunk>
    void refuse(Trunk& trunk, const Ref<RoomFrame>& address, const std::error_code& why) {
        const std::string reason = reason_of(why);
        delivery_.tell(trunk, address, trunk.protocol.write({Kind::refused, as_bytes(reason), {}}),
                       now_);
    }
    template <class Branch>
    void say_goodbye(Branch& branch) {
        auto& trunk = *branch.trunk;
        const std::error_code why = *std::exchange(branch.farewell, std::nullopt);
        refuse(trunk, branch.address, why);
        if (!branch.was_member || trunk.ends) return;
        const std::string reason = reason_of(why);
        delivery_.tell(trunk, branch.address,
                       trunk.protocol.write({Kind::goodbye, as_bytes(reason), {}}), now_);
    }
    /// In words that do not tell an unknown board from a missing right.
    [[nodiscard]] static std::string reason_of(const std::error_code& why) {
        const bool forbidden = why == RoomErrc::forbidden || why == RoomErrc::bad_room_id;
        return forbidden ? make_error_code(RoomErrc::forbidden).message() : why.message();
    }

    // ---- one of its documents ------------------------------------------------------------------

    [[nodiscard]] static bool is_live(const RoomSeat& seat) noexcept {
        return seat.room != nullptr && seat.room->core.live();
    }
    template <class Branch>
    void enter_branch(Branch& branch) {
        auto& trunk = *branch.trunk;
        trunk.token_ends = never;
        ++trunk.members;
        trunk.waker.touch();
        if (!std::exchange(trunk.proven, true)) {
            trunk.link->limit_messages(options_.frame_bytes_max);
        }
        branch.was_member = true;
        this->enter(branch);
    }
    template <class Branch>
    void take(Branch& branch, const part::RoomMessage& said) {
        if (said.kind != Kind::token) return this->on_message(branch, said);
        // A fresh one: what it may do is asked for again, and it goes on meanwhile.
        branch.request.token = as_text(said.payload);
        this->pay(*branch.trunk, token_frames);
        if (branch.check.waits() || branch.trunk->hung_up) {
            branch.overtaken = true;
        } else {
            this->check(branch);
        }
    }
};

}}}  // namespace belay::detail
