// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/watched_tcp.hpp
/// WatchedTcp: a sim::Tcp that records its dials and the times of received messages.
#pragma once

#include <string>
#include <utility>

#include <belay/link/part.hpp>
#include <belay/sim/history.hpp>
#include <belay/sim/host.hpp>
#include <belay/sim/tcp.hpp>

namespace belay_test {

/// The record of the connections of one client, or of one service of a fleet.
struct ConnectionRecord {
    belay::sim::History* history;
    std::string name;    ///< for History::dial
    std::string peer{};  ///< the host that was dialled last
    belay::Instant dialled_at = belay::always;
    /// When the open connection received the last message.
    belay::Instant received_at = belay::always;
    belay::Instant not_before = belay::always;  ///< the end of the wait that the link has reported
    belay::Instant manual_until = belay::always;  ///< an operator may end the wait early until then
    std::size_t* opening = nullptr;  ///< counts dials that are under way, of all services
    std::uint64_t early_dials = 0;   ///< dials before `not_before`
};

/// Dials a host, which is given here or by an Endpoints around it.
class WatchedTcp {
public:
    using message_type = belay::Bytes;

    WatchedTcp(belay::sim::Host& host, ConnectionRecord& record, std::string peer = {},
               std::uint16_t port = 1)
        : host_{&host}, record_{&record}, peer_{std::move(peer)}, port_{port} {}

    class Connection : public belay::part::Wrapped<belay::sim::detail::Connection, belay::Bytes> {
        using Base = belay::part::Wrapped<belay::sim::detail::Connection, belay::Bytes>;

    public:
        template <class F>
        Connection(ConnectionRecord& record, F&& make)
            : Base{std::forward<F>(make)}, record_{record} {
            if (record_.opening != nullptr) ++*record_.opening;
        }
        ~Connection() { opened(); }
        [[nodiscard]] bool sift(belay::part::Event<belay::Bytes>& event, belay::Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            using Kind = belay::part::EventKind;
            const bool alive = event.kind == Kind::opened || event.kind == Kind::received ||
                               event.kind == Kind::pong;
            if (alive) record_.received_at = turn.now;
            if (event.kind == Kind::opened || event.kind == Kind::closed) opened();
            return true;
        }

    private:
        void opened() noexcept {
            if (std::exchange(opens_, false) && record_.opening != nullptr) --*record_.opening;
        }

        ConnectionRecord& record_;
        bool opens_ = true;
    };

    [[nodiscard]] Connection open(const belay::Link<belay::Bytes>& link) {
        return open(link, peer_);
    }
    [[nodiscard]] Connection open(const belay::Link<belay::Bytes>& link, const std::string& peer) {
        record_->history->dial(record_->name);
        record_->peer = peer;
        record_->dialled_at = record_->received_at = host_->now();
        const bool manual = record_->dialled_at <= record_->manual_until;
        if (record_->dialled_at < record_->not_before && !manual) ++record_->early_dials;
        return Connection{*record_, [&] {
                              return belay::sim::Tcp{*host_, peer, port_}.open(link.child());
                          }};
    }

private:
    belay::sim::Host* host_;
    ConnectionRecord* record_;
    std::string peer_;
    std::uint16_t port_;
};

}  // namespace belay_test
