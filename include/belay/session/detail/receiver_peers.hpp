// SPDX-License-Identifier: MIT
/// \file belay/session/detail/receiver_peers.hpp
/// The connections that a receiver accepted, what ends them, and what it adds to each.
#pragma once

#include <cstddef>  // std::size_t
#include <utility>  // std::exchange, std::move, std::swap
#include <vector>   // std::vector

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/served_link.hpp>
#include <belay/session/receiver_options.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <TransportLike Transport, class State, class Owner>
class ServedPeers;

/// One connection, with the data that its owner keeps about it. It is a machine of its owner's
/// group: its turn is `owner.serve(peer, now)`.
///
/// The connection ends
/// - when its greeting is over, unless its owner ends that,
/// - when its pulse is lost, or
/// - when there was no space for output for as long as a peer may be silent.
///
/// Thread safety: home thread of the owner.
template <TransportLike Transport, class State, class Owner>
struct ServedPeer : State {
    using M = typename Transport::message_type;
    using Home = ServedPeers<Transport, State, Owner>;

    ServedPeer(Home& h, Transport transport, std::size_t messages_max, const HeartbeatOptions& beat,
               const Waker& driver, std::uint32_t n)
        : home{&h},
          id{n},
          patience{beat.dead_after},
          pulse{beat},
          link{std::move(transport), messages_max, driver, n} {}

    // ---- for the group -------------------------------------------------------------------------

    void attach(Waker waker) { link.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept {
        if (link.ended()) return ending ? never : always;
        return smaller(smaller(link.deadline(), greeting.ends()),
                       smaller(pulse.deadline(), room_ends));
    }
    void advance(Instant now) { home->serve(*this, now); }

    // ---- for the owner -------------------------------------------------------------------------

    /// Passes a message to the connection. If there is no space, starts the time limit for it.
    SendResult send(const M& message, Instant now) noexcept {
        const SendResult sent = link.send(message);
        if (sent == SendResult::busy) room_ends = smaller(room_ends, after(now, patience));
        return sent;
    }
    /// Call it after the events. Returns whether the peer lives, needs a ping, or is lost.
    [[nodiscard]] Pulse::Due check_pulse(Instant now, bool greeted) noexcept {
        const bool alive = link.take_sign_of_life() && greeted;
        if (alive && !link.closing()) pulse.sign_of_life(now);
        if (link.take_writable()) room_ends = never;
        return room_ends <= now ? Pulse::Due::lost : pulse.check(now);
    }
    /// Ends a lost peer without a close, because a frozen peer does not react to one.
    void give_up() noexcept {
        stop_limits();
        link.abort();
    }
    void close(Duration linger_max) noexcept {
        stop_limits();
        link.close(Failure{.cause = Cause::planned}, linger_max);
    }
    /// Stops all time limits of the connection.
    void stop_limits() noexcept {
        greeting.end();
        room_ends = never;
        pulse.rest();
    }

    Home* home;
    std::uint32_t id;
    std::uint32_t place = 0;  ///< its index among its owner's peers
    bool ending = false;      ///< whether it has ended and will be removed
    GreetingLimit greeting;
    Instant room_ends = never;
    Duration patience;
    Pulse pulse;
    ServedLink<Transport> link;
};

/// The peers of one owner, whether they have greeted or not.
///
/// Complexity: O(1) and O(log n) for each peer that is added, due or woken, unless a function
///  states another complexity.
/// Thread safety: home thread of the owner.
template <TransportLike Transport, class State, class Owner>
class ServedPeers {
public:
    using Peer = ServedPeer<Transport, State, Owner>;

    explicit ServedPeers(Owner& owner) : owner_{owner} {}

    void attach(Waker waker) { group_.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept {
        return ended_.empty() ? group_.deadline() : always;
    }
    /// Runs the turns of peers that are due.   Pre: no turn destroys the owner.
    void advance(Instant now) { static_cast<void>(group_.advance(now)); }

    Peer& add(Transport transport, std::size_t messages_max, const HeartbeatOptions& heartbeat,
              const Waker& driver) {
        BELAY_PRECONDITION(group_.attached(),
                           "accept: the machine must be attached to a driver first");
        const std::uint32_t id = ++last_id_ != 0 ? last_id_ : ++last_id_;
        if (ended_.capacity() <= all_.size()) ended_.reserve(2 * (all_.size() + 1));
        all_.push_back(
            group_.make<Peer>(*this, std::move(transport), messages_max, heartbeat, driver, id));
        all_.back()->place = static_cast<std::uint32_t>(all_.size() - 1);
        return *all_.back();
    }
    /// Returns the number of peers that have not ended yet.   Complexity: O(n).
    [[nodiscard]] std::size_t count() const noexcept {
        std::size_t n = 0;
        for (const auto& peer : all_) n += peer->link.ended() ? 0U : 1U;
        return n;
    }
    /// Returns whether `most` peers have not ended.
    /// Complexity: O(1), or O(n) if there may be so many.
    [[nodiscard]] bool full(std::size_t most) const noexcept {
        return all_.size() >= most && count() >= most;
    }
    /// Calls `f(peer)` for all peers that have not ended.   Complexity: O(n).
    template <class F>
    void for_each(F&& f) const {
        for (const auto& peer : all_) {
            if (!peer->link.ended()) f(*peer);
        }
    }
    /// Returns a peer for which `f(peer)` is true, or null.   Complexity: O(n).
    template <class F>
    [[nodiscard]] Peer* find(F&& f) const {
        for (const auto& peer : all_) {
            if (!peer->link.ended() && f(*peer)) return peer.get();
        }
        return nullptr;
    }
    /// Returns the peer that makes space for a new one, or null. It is a peer that is already
    /// closing. Otherwise it is a random peer that has sent nothing, of rank 0 if possible and else
    /// of rank 1; no other ranks. Random, because the oldest peer is probably about to send: with
    /// the oldest, a flood would let no peer finish.
    /// Complexity: O(n).
    template <class F>
    [[nodiscard]] Peer* to_displace(Random& bits, F&& rank) const {
        Peer* out[2] = {};
        std::uint64_t seen[2] = {};
        for (const auto& peer : all_) {
            if (peer->link.ended()) continue;
            if (peer->link.closing()) return peer.get();
            const unsigned which = rank(*peer);
            if (which > 1 || peer->link.has_received()) continue;
            if (uniform_upto(bits, seen[which]++) == 0) out[which] = peer.get();
        }
        return out[0] != nullptr ? out[0] : out[1];
    }
    /// Removes the peers that have ended. Calls `f(peer)` for each before that.
    template <class F>
    void reap(F&& f) {
        for (; !ended_.empty(); ended_.pop_back()) {
            Peer& peer = *ended_.back();
            f(peer);
            const std::uint32_t hole = peer.place;
            all_.back()->place = hole;
            std::swap(all_[hole], all_.back());
            all_.pop_back();
        }
    }

private:
    friend Peer;

    void serve(Peer& peer, Instant now) {
        // Notes the end of a peer also if `serve` throws.
        const ScopeExit served{[&] {
            if (peer.link.ended() && !std::exchange(peer.ending, true)) ended_.push_back(&peer);
        }};
        owner_.serve(peer, now);
    }

    Owner& owner_;
    driver::MachineGroup group_;
    std::uint32_t last_id_ = 0;
    std::vector<driver::GroupedMachine<Peer>> all_;
    std::vector<Peer*> ended_;
};

/// Checks the options when the receiver is made, so that invalid ones end the program then and not
/// when a client connects.
[[nodiscard]] inline const ReceiverOptions& checked(const ReceiverOptions& options) {
    static_cast<void>(Pulse{options.heartbeat});
    expect_options(options.check(),
                   {{"greeting_max", options.greeting_max},
                    {"events_per_turn_max", std::uint64_t{options.events_per_turn_max}},
                    {"connections_max", std::uint64_t{options.connections_max}},
                    {"senders_max", std::uint64_t{options.senders_max}},
                    {"messages_max", std::uint64_t{options.messages_max}},
                    {"commit_within", options.commit_within},
                    {"linger_max", options.linger_max},
                    {"limits.number_window", options.limits.number_window},
                    {"limits.payload_bytes_max", std::uint64_t{options.limits.payload_bytes_max}}});
    return options;
}

/// The state of a connection. Each state has its end; see section 10 of
/// docs/reference/formats/session-protocol.md.
enum class PeerPhase : std::uint8_t { expecting_hello, pending, attached };

/// The state of a connection.
struct ReceiverPeer {
    PeerPhase phase = PeerPhase::expecting_hello;
    bool ack_due = false;
    bool ack_listed = false;
    bool pong_due = false;
    std::uint64_t pong = 0;    ///< the newest PING's number
    Instant sent_at = always;  ///< the last time that a frame was sent
    session_format::Hello hello{};

    void schedule_pong(std::uint64_t number) noexcept {
        pong_due = true;
        pong = number;
    }
    /// Returns the longest time between two frames to this sender while a long frame arrives.
    [[nodiscard]] Duration sign_every() const noexcept {
        const std::uint16_t wanted = hello.sign_within_ms;
        return std::chrono::milliseconds{wanted != 0 && wanted < 1000 ? wanted : 1000};
    }
    [[nodiscard]] bool greeted() const noexcept { return phase != PeerPhase::expecting_hello; }
    [[nodiscard]] bool pends(const Id& sender) const noexcept {
        return phase == PeerPhase::pending && hello.sender == sender;
    }
    /// Returns the order in which connections give way when a limit is reached; see
    /// ServedPeers::to_displace. Attached senders come last.
    [[nodiscard]] unsigned rank(bool pending_too) const noexcept {
        if (!greeted()) return 0;
        return pending_too && phase == PeerPhase::pending ? 1 : 2;
    }
};

/// Sends a frame that is only a sign of life. If the output is full, the other end does not read,
/// and that ends the connection in time.
template <class Peer>
void send_frame(Peer& peer, session_format::FrameType type, std::uint64_t number, Instant now) {
    Bytes message;
    session_format::append_frame(message, {.type = type, .number = number});
    peer.sent_at = now;
    static_cast<void>(peer.send(message, now));
}

/// The peers that get an ACK after the commit, each once.
template <class Peer>
class AckList {
public:
    void add(Peer& peer) {
        peer.ack_due = true;
        if (peer.ack_listed) return;
        peers_.push_back(&peer);
        peer.ack_listed = true;
    }
    void forget(Peer& peer) noexcept {
        if (peer.ack_listed) std::erase(peers_, &peer);
    }
    /// Calls `f(peer)` for each peer that is still served. `f` returns whether the ACK fit into the
    /// output. If it did not, nothing is lost: it is sent when there is space, and then reports
    /// more.
    template <class F>
    void pay(F&& f) {
        for (Peer* const peer : peers_) {
            if (!peer->link.closing()) peer->ack_due = !f(*peer);
        }
        // Only now: if `f` throws, they are still listed.
        for (Peer* const peer : peers_) peer->ack_listed = false;
        peers_.clear();
    }

private:
    std::vector<Peer*> peers_;
};

}}}  // namespace belay::detail
