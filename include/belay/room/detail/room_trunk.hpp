// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_trunk.hpp
/// RoomTrunk and RoomBranch: a client's connection that has many documents, and one of these.
#pragma once

#include <algorithm>  // std::any_of, std::count_if, std::find_if, ...
#include <deque>      // std::deque
#include <iterator>   // std::prev
#include <map>        // std::map
#include <optional>   // std::optional
#include <utility>    // std::move

#include <belay/core/machine_group.hpp>
#include <belay/link/served_link.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One document of a connection.
///
/// A machine of its manager's nest: its turn is `manager.serve(branch)`.
template <class Trunk>
struct RoomBranch : RoomSeat {
    RoomBranch(Trunk& t, std::uint64_t number, BytesView name, RoomRequest r)
        : RoomSeat{table, t, number, std::move(r)}, trunk{&t} {
        address = name_ = Ref<RoomFrame>::make(to_bytes(name));
    }

    void attach(Waker w) {
        waker = std::move(w);
        check.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (reaped) return never;
        if (stage == SeatStage::closing && check.waits())
            return smaller(check.deadline(), wait_ends);
        if (stage == SeatStage::closing || stage == SeatStage::opening) return always;
        const Instant other = smaller(check.deadline(), timers());
        const bool reads = stage == SeatStage::member && !held.empty() && room->core.live();
        return reads ? smaller(other, trunk->read_at) : other;
    }
    void advance(Instant) { trunk->manager->serve(*this); }

    [[nodiscard]] const Bytes& name() const noexcept { return name_->bytes; }
    /// Whether something is held of it that counts: it is let in.
    [[nodiscard]] bool has_words() const noexcept {
        return (stage == SeatStage::member || stage == SeatStage::opening) && !held.empty();
    }
    /// It is there until what it has said is taken; another may have its address.
    void leave_behind_words() {
        leaves = true;
        address = Ref<RoomFrame>::make(Bytes{});
        drop_output();
    }

    Trunk* trunk;
    std::deque<Bytes> held{};  ///< frames that came before it was let in
    bool was_member = false;
    driver::GroupedMachine<RoomBranch> self;

private:
    Ref<RoomFrame> name_{};

    static RoomBranch& of(RoomSeat& seat) noexcept { return static_cast<RoomBranch&>(seat); }
    static const RoomBranch& of(const RoomSeat& seat) noexcept {
        return static_cast<const RoomBranch&>(seat);
    }
    static constexpr RoomSeatOps make_table() noexcept {
        return {.open = [](RoomSeat& s) { s.waker.touch(); },
                .close =
                    [](RoomSeat& s, const std::error_code& why) noexcept {
                        s.farewell = why;
                        s.waker.touch();
                        of(s).trunk->forget(of(s));
                    },
                .abort = [](RoomSeat& s) noexcept { s.waker.touch(); },
                .write = [](const RoomSeat& s, const part::RoomMessage& m) -> Bytes {
                    return of(s).trunk->protocol.write(m);
                },
                .split = [](const RoomSeat& s, BytesView update,
                            std::size_t most) -> std::vector<Bytes> {
                    if constexpr (SplitsUpdate<typename Trunk::protocol_type>) {
                        if (update.size() > most) return of(s).trunk->protocol.split(update, most);
                    }
                    return {to_bytes(update)};
                },
                .disjoint =
                    [](const RoomSeat& s, BytesView a, BytesView b) {
                        if constexpr (TellsDisjoint<typename Trunk::protocol_type>) {
                            return of(s).trunk->protocol.disjoint(a, b);
                        } else {
                            return false;
                        }
                    },
                .end =
                    [](RoomSeat& s) noexcept {
                        of(s).trunk->forget(of(s));
                        // First out of itself, then destroyed.
                        auto owner = std::move(of(s).self);
                        owner.reset();
                    }};
    }
    static const RoomSeatOps table;
};

template <class Trunk>
constinit const RoomSeatOps RoomBranch<Trunk>::table = RoomBranch<Trunk>::make_table();

/// The connection.
///
/// A machine of its manager's nest: its turn is `manager.serve(trunk)`. The upgrade is answered at
/// once; see RoomOptions for what it may do before it is let into a document.
template <class Manager, TransportLike Transport, RoomProtocolLike Protocol>
struct RoomTrunk : RoomTrunkBase {
    using Link = ServedLink<Transport>;
    using Branch = RoomBranch<RoomTrunk>;
    using protocol_type = Protocol;

    RoomTrunk(Manager& m, std::uint64_t number, Transport t, Protocol p, RoomRequest r,
              const RoomHouse& house)
        : RoomTrunkBase{table,        &RoomTrunk::send_on,     number,
                        std::move(r), house.options.heartbeat, house.answers},
          manager{&m},
          options_{&house.options},
          protocol{std::move(p)},
          closed{std::move(t)} {}

    void attach(Waker w) { waker = std::move(w); }
    [[nodiscard]] Instant deadline() const noexcept {
        if (reaped) return never;
        // One whose tokens are still being judged is waited for.
        const Instant token = seats.empty() ? token_ends : never;
        const Instant other = ends ? wait_ends : smaller(smaller(wait_ends, token), timers());
        if (!link) return closed ? other : always;
        if (link->ended() && has_words()) return other;
        if (link->ended() || (farewell && link->opened())) return always;
        if (link->closing()) return smaller(other, link->deadline());
        const Instant mine = unheard() ? smaller(other, try_at) : other;
        return full() ? smaller(mine, look_at) : smaller(mine, larger(link->deadline(), read_at));
    }
    void advance(Instant) { manager->serve(*this); }

    [[nodiscard]] bool gone() const noexcept { return link ? link->ended() : !closed; }
    [[nodiscard]] bool has_words() const noexcept {
        if (ends || held_bytes == 0) return false;
        return std::any_of(branches.begin(), branches.end(),
                           [](const auto& one) { return one.second->has_words(); });
    }
    /// Nothing more is read until it is known into which documents it is let.
    [[nodiscard]] bool full() const noexcept {
        if (hung_up) return false;
        return (held_bytes != 0 && (!proven || held_bytes >= options_->client_bytes_max)) ||
               judged >= checks_max;
    }
    /// What waits to be sent does not learn of room: that stands behind what is not read.
    [[nodiscard]] bool unheard() const noexcept {
        return link && !ends && !output.empty() && (full() || read_at > try_at);
    }
    [[nodiscard]] Branch* find(BytesView name) const {
        // What it has closed stands in front.
        const auto behind = branches.upper_bound(name);
        if (behind == branches.begin()) return nullptr;
        Branch* const last = std::prev(behind)->second;
        return !last->leaves && std::ranges::equal(last->name(), name) ? last : nullptr;
    }
    /// Whether it may have one document more. Those that it has closed stand in no other's way
    /// before they are as many.
    [[nodiscard]] bool takes_another() const noexcept {
        const std::size_t most = options_->documents_per_client_max;
        if (branches.size() < most) return true;
        const auto leaving = std::count_if(branches.begin(), branches.end(),
                                           [](const auto& one) { return one.second->leaves; });
        return branches.size() - static_cast<std::size_t>(leaving) < most &&
               branches.size() / 2 < most;
    }
    /// Another may have its address.
    void forget(Branch& branch) noexcept {
        for (const Bytes& frame : branch.held) held_bytes -= frame.size();
        branch.held.clear();
        branch.held_tokens = 0;
        const auto [from, to] = branches.equal_range(BytesView{branch.name()});
        const auto found =
            std::find_if(from, to, [&](const auto& one) { return one.second == &branch; });
        if (found != to) branches.erase(found);
        waker.touch();
    }

    struct ByBytes {
        using is_transparent = void;
        [[nodiscard]] bool operator()(BytesView a, BytesView b) const noexcept {
            return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
        }
    };

    /// Of its documents, those that are checked or loaded at a time; fresh tokens likewise.
    static constexpr std::size_t checks_max = 8;

    Manager* manager;
    const RoomOptions* options_;
    [[no_unique_address]] Protocol protocol;
    std::optional<Transport> closed;  ///< not opened yet
    std::optional<Link> link;
    std::multimap<Bytes, Branch*, ByBytes> branches{};  ///< by their addresses
    driver::GroupedMachine<RoomTrunk> self;

private:
    static RoomTrunk& of(RoomTrunkBase& trunk) noexcept { return static_cast<RoomTrunk&>(trunk); }
    static SendResult send_on(RoomPeer& peer, const RoomFrame* address, const Bytes& frame) {
        auto& link = static_cast<RoomTrunk&>(peer).link;
        if (!link) return SendResult::down;
        if (address == nullptr) return link->send(frame);
        if (address->bytes.empty()) return SendResult::sent;
        Bytes whole;
        whole.reserve(address->bytes.size() + frame.size());
        whole = address->bytes;
        whole.insert(whole.end(), frame.begin(), frame.end());
        return link->send(whole);
    }
    static constexpr Ops make_table() noexcept {
        return {.open =
                    [](RoomTrunkBase& base) {
                        RoomTrunk& t = of(base);
                        if (!t.closed) return;
                        const RoomOptions& o = *t.options_;
                        t.link.emplace(std::move(*t.closed), o.messages_max, t.waker, 0);
                        t.closed.reset();
                        // Many read before they know from whom.
                        t.link->limit_messages(o.piece_bytes_max);
                        t.link->limit_output(connection_bytes_max(o.client_bytes_max));
                        t.waker.touch();
                    },
                .close =
                    [](RoomTrunkBase& base, const std::error_code& why) noexcept {
                        const RoomOptions& o = *of(base).options_;
                        if (of(base).link)
                            of(base).link->close(room_close(why, o.close_codes), o.linger_max);
                    },
                .end =
                    [](RoomTrunkBase& base) noexcept {
                        auto owner = std::move(of(base).self);
                        owner.reset();
                    }};
    }
    static const Ops table;
};

template <class Manager, TransportLike Transport, RoomProtocolLike Protocol>
constinit const RoomTrunkBase::Ops RoomTrunk<Manager, Transport, Protocol>::table =
    RoomTrunk<Manager, Transport, Protocol>::make_table();

}}}  // namespace belay::detail
