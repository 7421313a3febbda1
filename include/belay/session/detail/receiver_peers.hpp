// SPDX-License-Identifier: MIT
/// \file belay/session/detail/receiver_peers.hpp
/// The state that a receiver adds to each of its served connections.
#pragma once

#include <utility>  // std::exchange
#include <vector>   // std::vector

#include <belay/link/detail/served_peers.hpp>
#include <belay/session/detail/credit.hpp>
#include <belay/session/receiver_options.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

[[nodiscard]] inline Bytes error_message(SessionErrc code, std::uint64_t number, const Id& store) {
    Bytes message;
    const bool names_store =
        code == SessionErrc::store_changed || code == SessionErrc::unknown_journal;
    session_format::append_error(message, code, number,
                                 names_store ? BytesView{store} : BytesView{});
    return message;
}
[[nodiscard]] inline Bytes welcome_message(const session_format::Welcome& g) {
    Bytes message;
    session_format::append_welcome(message, g);
    return message;
}
[[nodiscard]] inline Bytes ack_message(std::uint64_t applied, const Credit& credit) {
    Bytes message;
    session_format::append_ack(message, applied, credit.number_limit, credit.byte_limit);
    return message;
}

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
