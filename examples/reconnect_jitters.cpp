// SPDX-License-Identifier: MIT
// A thousand clients lose their server for a minute. How many dial at the same time while it is
// away, and when it is back? One simulated minute and a half for each jitter.
//
//     reconnect_jitters [--svg FILE] [SEED]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <belay/backoff/jitters.hpp>
#include <belay/belay.hpp>
#include <belay/sim.hpp>

#include "chart.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

constexpr int clients = 1000;
constexpr Duration server_dies = 5s, server_returns = 65s, end = 110s, slot = 100ms;

/// The dials of the thousand clients.
struct Tally {
    std::vector<int> attempts = std::vector<int>(static_cast<std::size_t>(end / slot) + 1);
    std::vector<Duration> connected_again;
    const sim::World* world = nullptr;

    [[nodiscard]] Duration now() const { return world->now().time_since_epoch(); }
    /// The most in one slot of [from, to).
    [[nodiscard]] int peak(Duration from, Duration to) const {
        return *std::max_element(attempts.begin() + from / slot, attempts.begin() + to / slot);
    }
    [[nodiscard]] int sum(Duration from, Duration to) const {
        int total = 0;
        for (auto i = from / slot; i < to / slot; ++i)
            total += attempts[static_cast<std::size_t>(i)];
        return total;
    }
    /// When that share of all clients was connected again, after the server's return.
    [[nodiscard]] double seconds_until(double share) const {
        const auto n = static_cast<std::size_t>(share * clients) - 1;
        if (n >= connected_again.size()) return -1;
        return std::chrono::duration<double>(connected_again[n] - server_returns).count();
    }
};

struct Watch {
    Tally* tally;
    void on_state(const Transition& change) {
        const Duration now = tally->now();
        if (now < server_dies) return;
        if (change.to.state == LinkState::connecting) {
            ++tally->attempts[static_cast<std::size_t>(now / slot)];
        }
        if (change.to.state == LinkState::connected) tally->connected_again.push_back(now);
    }
};

/// Keeps every connection that it is given.
struct Server {
    explicit Server(sim::Host& host) {
        host.listen(1, [this, &host](sim::Accepted a) {
            links.push_back(std::make_unique<Kept>(std::move(a), Policy{MaxAttempts{1}}));
            host.attach(*links.back());
            links.back()->start();
        });
    }
    using Kept = Supervisor<sim::Accepted, Policy<MaxAttempts>>;
    std::vector<std::unique_ptr<Kept>> links;
};

template <class P>
struct Client {
    Client(sim::Host& host, Tally& tally, const P& policy)
        : link{sim::Tcp{host, "server", 1}, policy, Watch{&tally}} {
        host.attach(link);
        link.start();
    }
    Supervisor<sim::Tcp, P, Watch> link;
};

template <class P>
Tally run(const P& policy, Seed seed) {
    Tally tally;
    sim::World world{seed};
    tally.world = &world;
    world.network().latency(5ms, 25ms);
    auto& server = world.host("server", [](sim::Host& h) { return std::make_unique<Server>(h); });
    for (int i = 0; i < clients; ++i) {
        world.host("client " + std::to_string(i),
                   [&](sim::Host& h) { return std::make_unique<Client<P>>(h, tally, policy); });
    }
    world.at(server_dies, [&] { world.kill(server); });
    world.at(server_returns, [&] { world.restart(server); });
    world.run_for(end);
    return tally;
}

class Table {
public:
    explicit Table(Seed seed) : seed_{seed} {
        std::printf("%d clients, base 1 s, cap 30 s; the server is away for 60 s\n\n", clients);
        std::printf("%-26s %9s %12s %14s %9s %9s\n", "", "attempts", "peak/100 ms", "peak/100 ms",
                    "half back", "99 % back");
        std::printf("%-26s %9s %12s %14s %9s %9s\n", "jitter", "in vain", "5 s later",
                    "at the return", "after", "after");
    }

    template <class P>
    void row(const char* name, const P& policy) {
        const Tally t = run(policy, seed_);
        const int late = t.peak(server_dies + 5s, server_returns);
        std::printf("%-26s %9d %12d %14d %7.1f s %7.1f s\n", name,
                    t.sum(server_dies, server_returns), late, t.peak(server_returns, end),
                    t.seconds_until(0.5), t.seconds_until(0.99));
        Chart chart{name, "seconds", "attempts in 100 ms, cut at 150", 150, {}};
        chart.lines.emplace_back();
        for (std::size_t i = 0; i < t.attempts.size(); ++i) {
            chart.lines[0].points.emplace_back(static_cast<double>(i) / 10, t.attempts[i]);
        }
        sheet_.add(std::move(chart));
        peaks_.push_back(late);
    }

    /// Full jitter must keep the peak below 5 % per 100 ms, and no jitter must not.
    [[nodiscard]] bool as_expected() const {
        return peaks_[0] > clients / 2 && peaks_[1] < clients / 20;
    }
    [[nodiscard]] bool write(const char* path) const { return sheet_.write(path); }

private:
    Seed seed_;
    ChartSheet sheet_{"1000 clients lose a server from second 5 to second 65", 3};
    std::vector<int> peaks_;
};

}  // namespace

int main(int count, char** words) {
    const char* svg = nullptr;
    Seed seed{1};
    for (int i = 1; i < count; ++i) {
        if (std::string_view{words[i]} == "--svg" && i + 1 < count) {
            svg = words[++i];
        } else {
            seed = Seed{std::strtoull(words[i], nullptr, 10)};
        }
    }
    Table table{seed};
    table.row("NoJitter", Policy{Backoff{NoJitter{}, Cap{30s}, 1s}});
    table.row("FullJitter", Policy{Backoff{FullJitter{}, Cap{30s}, 1s}});
    table.row("EqualJitter", Policy{Backoff{EqualJitter{}, Cap{30s}, 1s}});
    table.row("+-20 %", Policy{Backoff{ProportionalJitter::plus_minus_percent(20), Cap{30s}, 1s}});
    table.row("DecorrelatedJitter", Policy{Backoff{DecorrelatedJitter{}, Cap{30s}, 1s}});
    table.row("SmoothJitter", Policy{Backoff{SmoothJitter{}, Cap{30s}, 1s}});
    if (svg != nullptr && !table.write(svg)) {
        std::printf("cannot write %s\n", svg);
        return 2;
    }
    return table.as_expected() ? 0 : 1;
}
