// SPDX-License-Identifier: MIT
// Goal: other threads send commands in order, and read a status that is never torn. Method:
// threads.
#include <belay/link/link.hpp>

#include <atomic>
#include <thread>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

TEST_CASE("LinkHandle without a machine returns gone", "[link][link_handle][unit]") {
    const LinkHandle<std::string> handle;
    CHECK(handle.start() == belay::driver::Post::gone);
    CHECK(handle.post("x") == belay::driver::Post::gone);
    CHECK(handle.status() == LinkStatus{});
}

TEST_CASE("LinkHandle sends commands from other threads in their order",
          "[link][link_handle][regression]") {
    TransportState transport;
    LinkRig rig{FakeTransport<>{transport}};
    rig.run(0s);
    std::thread{[handle = rig.link.handle()] {
        handle.start();
        handle.stop();
        handle.start();  // counts although a stop was queued before it
        handle.shut(Gate::paused);
        handle.open(Gate::paused);
    }}.join();
    rig.run(0s);
    CHECK(rig.notes.observed ==
          Observed{"connecting", "stopped", "connecting", "offline", "cooldown"});
    std::thread{[handle = rig.link.handle()] {
        if (handle.status().state != LinkState::cooldown) std::abort();
        handle.reconnect_now();
    }}.join();
    rig.run(0s);
    CHECK(rig.state() == LinkState::connecting);
    transport.link.closed({.cause = Cause::unauthorized});
    rig.run(0s);
    std::thread{[handle = rig.link.handle()] { handle.credentials(); }}.join();
    rig.run(0s);
    CHECK(rig.state() == LinkState::connecting);
}

TEST_CASE("LinkHandle::status is consistent while the supervisor works",
          "[link][link_handle][fault]") {
    TransportState transport;
    transport.on_open = [](Link<std::string> link) { link.closed({.cause = Cause::refused}); };
    Supervisor link{FakeTransport<>{transport}, Policy{Backoff{NoJitter{}, Cap{1ns}, 1ns}}};
    link.start();
    std::atomic<bool> done{false};
    std::thread reader{[&, handle = link.handle()] {
        while (!done) {
            const LinkStatus s = handle.status();
            const bool waits = s.state == LinkState::cooldown;
            if (waits != (s.retry_at != never)) std::abort();
        }
    }};
    for (int i = 1; i < 20000; ++i) link.advance(at(Duration{i}));
    done = true;
    reader.join();
    CHECK(transport.dials > 1000);
}
