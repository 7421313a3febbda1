// SPDX-License-Identifier: MIT
// Goal: a subscriber that sends nothing stays connected for a month, with policies::reconnection(),
// although its connections live only for seconds or minutes. Method: a simulated server that ends
// each connection after a drawn time, and some at once.
#include <list>
#include <utility>

#include <belay/call/policies.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Ends each connection after a drawn time, and one of ten at once. It sends nothing.
class EndingServer {
    using Served = Supervisor<sim::Accepted, MaxAttempts>;

public:
    EndingServer(sim::Host& host, Seed seed, Duration least, Duration most)
        : host_{host}, bits_{seed}, least_{least}, most_{most} {
        host.listen(1, [this](sim::Accepted accepted) {
            if (uniform_upto(bits_, 9) != 0) serve(std::move(accepted));
        });
    }

private:
    void serve(sim::Accepted accepted) {
        const auto it = served_.emplace(served_.end(), std::move(accepted), MaxAttempts{1});
        host_.attach(*it);
        it->start();
        const auto more = static_cast<std::uint64_t>((most_ - least_).count());
        const Duration lives =
            least_ + Duration{static_cast<std::int64_t>(uniform_upto(bits_, more))};
        host_.after(lives, [this, it] { served_.erase(it); });
    }

    sim::Host& host_;
    Random bits_;
    Duration least_, most_;
    std::list<Served> served_{};
};

}  // namespace

TEST_CASE("a quiet subscriber stays connected for a month, however often its connection ends",
          "[worlds][link][sim]") {
    const auto [least, most] =
        GENERATE(std::pair<Duration, Duration>{5s, 10min}, std::pair<Duration, Duration>{20s, 20s},
                 std::pair<Duration, Duration>{10s, 1min});
    for_each_seed(
        [&, least = least, most = most](Seed seed) {
            sim::World world{seed};
            EndingServer server{world.host("server"), seed, least, most};
            sim::Host& host = world.host("client");
            Supervisor link{sim::Tcp{host, "server", 1}, policies::reconnection()};
            host.attach(link);
            link.start();
            int hours_up = 0;
            constexpr int hours = 30 * 24;
            for (int hour = 0; hour < hours; ++hour) {
                world.run_for(1h);
                REQUIRE(link.status().state != LinkState::failed);
                if (link.status().state == LinkState::connected) ++hours_up;
            }
            CHECK(hours_up > hours / 2);
        },
        1);
}
