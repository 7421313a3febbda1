// SPDX-License-Identifier: MIT
// Goal: a link only queues, outlives its machine, and stamps its attempt; a part sees its own
// events, and a slot owns its value. Method: a machine without a transport.
#include <belay/link/link.hpp>

#include <memory>
#include <thread>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

using TextEvents = detail::LinkBox<std::string>;

struct PendingEventsRig {
    belay::detail::Ref<TextEvents> events = belay::detail::Ref<TextEvents>::make(std::size_t{2});
    Link<std::string> link{events, 7};
    PendingEventsRig() {
        events->begin_turn();
        events->epoch = 7;
    }
    ~PendingEventsRig() { events->close(); }
};

}  // namespace

TEST_CASE("Link without a machine returns gone", "[link][link][unit]") {
    const Link<std::string> link;
    CHECK_FALSE(link.alive());
    CHECK(link.opened() == belay::driver::Post::gone);
    CHECK(link.closed() == belay::driver::Post::gone);
    CHECK(link.note(1) == belay::driver::Post::gone);
    std::string m = "kept";
    CHECK(link.received(std::move(m)) == belay::driver::Post::gone);
    CHECK(m == "kept");
}

TEST_CASE("Link stamps each event with attempt, lane and depth", "[link][link][unit]") {
    PendingEventsRig r;
    const Link<std::string> below = r.link.child(2, 2).child().child(1, 1);
    CHECK(below.pong() == belay::driver::Post::taken);
    const belay::part::Event<std::string> e = r.events->pop();
    CHECK(e.kind == belay::part::EventKind::pong);
    CHECK(e.epoch == 7);
    CHECK(e.depth == 3);
    CHECK(e.lane == (2 | 1 << 2));
}

TEST_CASE("Link::closed has a cause, and is accepted while the connection lingers",
          "[link][link][unit]") {
    PendingEventsRig r;
    CHECK(r.link.closed() == belay::driver::Post::taken);
    CHECK(r.events->pop().failure.cause == Cause::lost);
    r.events->epoch = 8;
    CHECK(r.link.closed() == belay::driver::Post::gone);
    r.events->lingering = 7;
    CHECK(r.link.opened() == belay::driver::Post::gone);
    CHECK(r.link.closed({.cause = Cause::planned}) == belay::driver::Post::taken);
    CHECK(r.events->pop().failure.cause == Cause::planned);
}

TEST_CASE("Link::received leaves a rejected message unchanged", "[link][link][unit]") {
    PendingEventsRig r;
    CHECK(receive(r.link, "1") == belay::driver::Post::taken);
    CHECK(receive(r.link, "2") == belay::driver::Post::taken);
    std::string m(100, 'x');
    CHECK(r.link.received(std::move(m)) == belay::driver::Post::full);
    CHECK(m == std::string(100, 'x'));
    CHECK(r.link.writable() == belay::driver::Post::taken);
}

TEST_CASE("Link may be used by any thread while its machine ends attempts", "[link][link][fault]") {
    PendingEventsRig r;
    std::thread reporter{[link = r.link] {
        while (link.alive()) {
            link.pong();
            link.note(3);
            std::string m = "m";
            if (link.received(std::move(m)) != belay::driver::Post::taken && m != "m") std::abort();
        }
        if (link.opened() != belay::driver::Post::gone) std::abort();
    }};
    for (int i = 0; i < 200; ++i) {
        r.events->begin_turn();
        while (r.events->size() != 0) static_cast<void>(r.events->pop());
        std::this_thread::yield();
    }
    r.events->epoch = 0;
    reporter.join();
}
