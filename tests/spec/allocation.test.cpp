// SPDX-License-Identifier: MIT
// Goal: memory is stable during long disconnections: after the first minute of a day's outage, with
// a million sends into a bounded queue, nothing is allocated any more.
#include <belay/backoff/backoff.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/spec/refusing_transport.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("memory is stable during long disconnections", "[spec][reconnection][unit]") {
    Supervisor link{RefusingTransport{}, Policy{Backoff{FullJitter{}, Cap{60s}, 1s}}};
    Queue queue{Ring<int>{1000}, DropOldest{}};
    link.start();
    Instant now{};
    allocations = 0;
    constexpr int sends = 1'000'000;
    for (int i = 0; i < sends; ++i) {
        now = after(now, Duration{24h} / sends);
        if (now >= Instant{1min} && !is_counting) is_counting = true;
        for (int n = 0; n < 10 && link.deadline() <= now; ++n) link.advance(now);
        if (link.send(i) != SendResult::sent) static_cast<void>(queue.push(i));
    }
    is_counting = false;
    CHECK(allocations == 0);
    CHECK(queue.size() == 1000);
    CHECK(link.status().attempt > 1000);
}
