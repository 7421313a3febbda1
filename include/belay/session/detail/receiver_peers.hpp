// SPDX-License-Identifier: MIT
/// \file belay/session/detail/receiver_peers.hpp
/// ReceiverPeers: the connections of a receiver, and who of them gives way.
#pragma once

#include <memory>   // std::unique_ptr
#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/link/detail/pulse.hpp>
#include <belay/link/served_link.hpp>
#include <belay/session/greeting.hpp>
#include <belay/session/receiver_options.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Options that no receiver could keep end the program when it is made, not when somebody comes.
[[nodiscard]] inline const ReceiverOptions& checked(const ReceiverOptions& options) {
    static_cast<void>(Pulse{options.heartbeat});
    BELAY_PRECONDITION(options.greeting_max > Duration::zero() && options.events_per_turn_max > 0,
                       "ReceiverOptions: greeting_max and events_per_turn_max must be > 0");
    return options;
}

/// How far a connection has come. Each state has its end: see docs/session-protocol.md, section 10.
enum class PeerPhase : std::uint8_t { expecting_hello, pending, attached };

/// One connection of a receiver.
template <TransportLike Transport>
struct ReceiverPeer {
    ReceiverPeer(Transport transport, const ReceiverOptions& o, const Waker& waker, std::uint32_t n)
        : id{n}, pulse{o.heartbeat}, link{std::move(transport), o.messages_max, waker, n} {}

    [[nodiscard]] Instant deadline() const noexcept {
        return smaller(smaller(link.deadline(), greeting_ends), pulse.deadline());
    }
    [[nodiscard]] Pulse::Due judge(Instant now) noexcept {
        const bool heard = link.take_heard() && phase != PeerPhase::expecting_hello;
        if (heard && !link.closing()) pulse.heard(now);
        return pulse.judge(now);
    }
    /// A frame that is only a sign of life: with no room for it nobody reads at the other end, and
    /// that shows in time.
    void say(session_format::FrameType type, std::uint64_t number) {
        Bytes message;
        session_format::append_frame(message, {.type = type, .number = number});
        static_cast<void>(link.send(message));
    }
    /// Nothing more is expected of it.
    void let_go() noexcept {
        greeting_ends = never;
        pulse.rest();
    }

    std::uint32_t id;
    PeerPhase phase = PeerPhase::expecting_hello;
    bool ack_due = false;
    session_format::Hello hello{};
    Instant greeting_ends = never;
    Pulse pulse;  // from WELCOME on
    ServedLink<Transport> link;
};

/// In the order of their arrival.   Thread safety: home thread of the receiver.
template <TransportLike Transport>
class ReceiverPeers {
public:
    using Peer = ReceiverPeer<Transport>;

    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
    [[nodiscard]] Peer& operator[](std::size_t i) const noexcept { return *all_[i]; }
    [[nodiscard]] auto begin() const noexcept { return all_.begin(); }
    [[nodiscard]] auto end() const noexcept { return all_.end(); }

    /// Those that have not ended yet.   Complexity: O(n).
    [[nodiscard]] std::size_t count() const noexcept {
        std::size_t n = 0;
        for (const auto& peer : all_) n += peer->link.ended() ? 0U : 1U;
        return n;
    }
    [[nodiscard]] Instant deadline() const noexcept {
        Instant first = never;
        for (const auto& peer : all_) {
            if (peer->link.ended()) return always;
            first = smaller(first, peer->deadline());
        }
        return first;
    }
    Peer& add(Transport transport, const ReceiverOptions& options, const Waker& waker) {
        const std::uint32_t id = ++last_id_ != 0 ? last_id_ : ++last_id_;
        all_.push_back(std::make_unique<Peer>(std::move(transport), options, waker, id));
        return *all_.back();
    }
    /// Who leaves its place to a newcomer; null for none. Places are for senders: one that is gone
    /// already gives way, or else by chance one of which nothing has arrived (the oldest would be
    /// whoever is about to speak: a flood would let nobody through), or, if `pending_too`, of those
    /// that await START.
    [[nodiscard]] Peer* giving_way(Random& bits, bool pending_too) const noexcept {
        Peer* out[2] = {};
        std::uint64_t seen[2] = {};
        for (const auto& peer : all_) {
            if (peer->link.ended()) continue;
            if (peer->link.closing()) return peer.get();
            const bool silent = peer->phase == PeerPhase::expecting_hello;
            const bool waits = pending_too && peer->phase == PeerPhase::pending;
            if (!(silent || waits) || peer->link.has_arrived()) continue;
            const std::size_t which = silent ? 0 : 1;
            if (uniform_upto(bits, seen[which]++) == 0) out[which] = peer.get();
        }
        return out[0] != nullptr ? out[0] : out[1];
    }
    /// The pending connection of a sender; null for none.
    [[nodiscard]] Peer* pending(const Id& sender) const noexcept {
        for (const auto& peer : all_) {
            if (peer->phase == PeerPhase::pending && !peer->link.closing() &&
                peer->hello.sender == sender) {
                return peer.get();
            }
        }
        return nullptr;
    }
    /// Removes those that have ended; calls `f(peer)` for each before.
    template <class F>
    void reap(F&& f) {
        std::erase_if(all_, [&](const std::unique_ptr<Peer>& peer) {
            if (!peer->link.ended()) return false;
            f(*peer);
            return true;
        });
    }

private:
    std::uint32_t last_id_ = 0;
    std::vector<std::unique_ptr<Peer>> all_;
};

}  // namespace belay::inline BELAY_ABI::detail
