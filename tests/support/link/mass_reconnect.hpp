// SPDX-License-Identifier: MIT
/// \file tests/support/link/mass_reconnect.hpp
/// mass_reconnect: thousands of supervisors lose their server at one instant, and connect again
/// when it has returned; in virtual time. Also the rules by which known clients wait, each from its
/// published source.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/link/supervisor.hpp>

namespace belay_test {

/// The events after the loss.
struct ReconnectTally {
    static constexpr belay::Duration slot = std::chrono::milliseconds{100};

    std::size_t clients = 0;
    belay::Duration away{};
    std::vector<std::size_t> dials{};     ///< in each 100 ms
    std::vector<belay::Duration> back{};  ///< after the return, in order

    [[nodiscard]] double dials_each() const {
        std::size_t sum = 0;
        for (const std::size_t n : dials) sum += n;
        return static_cast<double>(sum) / static_cast<double>(clients);
    }
    /// The largest number within 100 ms, in percent of all clients, [from, to) after the loss.
    [[nodiscard]] double peak(belay::Duration from, belay::Duration to) const {
        std::size_t most = 0;
        for (auto i = from / slot; i < to / slot && i < std::ssize(dials); ++i) {
            most = std::max(most, dials[static_cast<std::size_t>(i)]);
        }
        return 100.0 * static_cast<double>(most) / static_cast<double>(clients);
    }
    [[nodiscard]] double peak_away() const { return peak({}, away); }
    [[nodiscard]] double peak_after() const { return peak(away, belay::forever); }
    /// Seconds from the return of the server until that share of all clients is connected.
    [[nodiscard]] double seconds_until(double share) const {
        const auto n = static_cast<std::size_t>(share * static_cast<double>(clients));
        return n == 0 || n > back.size() ? -1 : std::chrono::duration<double>(back[n - 1]).count();
    }
};

namespace mass_reconnect_parts {

/// Accepts or refuses at once, and counts.
struct ReconnectServer {
    ReconnectTally tally;
    belay::Instant now{std::chrono::hours{1}};
    belay::Instant lost = belay::never;
    std::vector<belay::Link<int>> links{};

    void dialled(const belay::Link<int>& link) {
        if (lost == belay::never) {
            links.push_back(link);
            link.opened();
            return;
        }
        const belay::Duration since = belay::elapsed(lost, now);
        const auto i = static_cast<std::size_t>(since / ReconnectTally::slot);
        if (tally.dials.size() <= i) tally.dials.resize(i + 1);
        ++tally.dials[i];
        if (since < tally.away) {
            link.closed({.cause = belay::Cause::refused});
        } else {
            link.opened();
            tally.back.push_back(since - tally.away);
        }
    }
};
struct ReconnectTransport {
    using message_type = int;
    struct Connection {
        [[nodiscard]] belay::SendResult send(const int&) noexcept {
            return belay::SendResult::sent;
        }
    };
    ReconnectServer* server;
    Connection open(const belay::Link<int>& link) {
        server->dialled(link);
        return {};
    }
};

}  // namespace mass_reconnect_parts

/// All clients are connected for a minute, and lose the server at one instant. The server is down
/// for `outage`. Ends when all are connected again.
template <class P>
ReconnectTally mass_reconnect(const P& policy, std::size_t clients, belay::Duration away,
                              belay::Seed seed) {
    using Client = belay::Supervisor<mass_reconnect_parts::ReconnectTransport, P>;
    mass_reconnect_parts::ReconnectServer server{{clients, away}};
    std::vector<std::unique_ptr<Client>> all;
    belay::Random seeds{seed};
    using Due = std::pair<belay::Instant, std::size_t>;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due;
    const auto run = [&](std::size_t i) {
        while (all[i]->deadline() <= server.now) all[i]->advance(server.now);
        if (all[i]->deadline() != belay::never) due.emplace(all[i]->deadline(), i);
    };
    const auto run_until = [&](belay::Instant end) {
        while (!due.empty() && due.top().first <= end) {
            const Due next = due.top();
            due.pop();
            server.now = std::max(server.now, next.first);
            run(next.second);
        }
    };
    for (std::size_t i = 0; i < clients; ++i) {
        all.push_back(
            std::make_unique<Client>(mass_reconnect_parts::ReconnectTransport{&server}, policy));
        all[i]->attach(belay::Waker{belay::driver::WakeHandle{}, belay::Seed{seeds()}});
        all[i]->start();
        run(i);
    }
    run_until(belay::after(server.now, std::chrono::minutes{1}));
    server.lost = server.now = belay::after(server.now, std::chrono::minutes{1});
    for (const belay::Link<int>& link : server.links) link.closed({.cause = belay::Cause::lost});
    for (std::size_t i = 0; i < clients; ++i) run(i);
    while (server.tally.back.size() < clients && !due.empty()) run_until(due.top().first);
    return server.tally;
}

/// A rule in the words of its source: the wait before the next attempt, in milliseconds, by the
/// number of failures since the last connection, including the loss.
template <class Wait>
struct PeerRule {
    static constexpr std::string_view name = "peer";
    Wait wait;
    unsigned tries = 0;

    belay::Advice failed(const belay::Failure&, belay::Turn& turn) noexcept {
        const auto chance = [&] {
            return static_cast<double>(belay::uniform_upto(turn.bits, 1U << 30U)) / (1U << 30U);
        };
        const double milliseconds = wait(++tries, chance);
        return belay::Advice::wait_at_least(
            belay::after(turn.now, belay::Duration{static_cast<std::int64_t>(milliseconds * 1e6)}));
    }
    belay::Advice lost(const belay::Failure& f, belay::Turn& turn) noexcept {
        tries = 0;
        return failed(f, turn);
    }
};
template <class Wait>
PeerRule(Wait) -> PeerRule<Wait>;

/// grpc/grpc: doc/connection-backoff.md: 1 s * 1.6^n, at most 120 s, then +-20 %.
inline constexpr PeerRule grpc_rule{[](unsigned tries, auto chance) {
    return std::min(1000 * std::pow(1.6, tries - 1), 120'000.0) * (0.8 + 0.4 * chance());
}};
/// socketio/socket.io-client: lib/manager.ts and contrib/backo2.ts: 1 s * 2^n +-50 %, at most 5 s.
inline constexpr PeerRule socket_io_rule{[](unsigned tries, auto chance) {
    const double wait = 1000 * std::pow(2, tries - 1);
    return std::min(wait * (0.5 + chance()), 5000.0);
}};
/// phoenixframework/phoenix: assets/js/phoenix/socket.js, reconnectAfterMs: a table.
inline constexpr PeerRule phoenix_rule{[](unsigned tries, auto) {
    constexpr double table[]{10, 50, 100, 150, 200, 250, 500, 1000, 2000};
    return tries <= std::size(table) ? table[tries - 1] : 5000;
}};
/// nats-io/nats.go: nats.go, DefaultReconnectWait and DefaultReconnectJitter: 2 s + up to 100 ms.
inline constexpr PeerRule nats_rule{[](unsigned, auto chance) { return 2000 + 100 * chance(); }};
/// apache/kafka: clients' ClusterConnectionStates and ExponentialBackoff, with the defaults of
/// reconnect.backoff.ms and reconnect.backoff.max.ms: 50 ms * 2^n to 1 s, then +-20 %.
inline constexpr PeerRule kafka_rule{[](unsigned tries, auto chance) {
    return std::min(50 * std::pow(2, tries - 1), 1000.0) * (0.8 + 0.4 * chance());
}};

}  // namespace belay_test
