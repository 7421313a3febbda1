// SPDX-License-Identifier: MIT
// Goal: a coroutine sees the same events of a link as an observer, in order and once, is resumed
// when the link can make no more progress, and may be destroyed at any time, as may the link.
// Method: belay's own Task over a scripted transport; random histories compared with an
// observer.
#include <belay/link/awaitable.hpp>

#include <memory>
#include <optional>

#include <belay/call/task.hpp>

#include "support/catch.hpp"
#include "support/default_member.hpp"
#include "support/link/link_rig.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Awaits = LinkAwaits<std::string>;
using AwaitRig = LinkRig<FakeTransport<>, Awaits>;
using Rests = Result<LinkStatus, Failure>;
using ReceivedMessage = Result<std::string, Failure>;

template <class Link>
Task<bool> until_connected(Link& link, std::optional<Rests>& answer) {
    answer = co_await connected(link);
    co_return true;
}
template <class Link>
Task<bool> receive_once(Link& link, std::optional<ReceivedMessage>& answer) {
    answer = co_await receive(link);
    co_return true;
}
/// The loop of docs/how-to/coroutines.md.
template <class Link>
Task<bool> receive_all(Link& link, Observed& observed) {
    while (co_await connected(link)) {
        observed.emplace_back("up");
        while (auto message = co_await receive(link)) observed.push_back(*message);
        observed.emplace_back("down");
    }
    observed.emplace_back("over");
    co_return true;
}

struct AwaitedTransport {
    TransportState transport;
};
struct Connected : AwaitedTransport, AwaitRig {
    explicit Connected(std::size_t messages_max = 8)
        : AwaitRig{FakeTransport<>{transport}, Awaits{messages_max}} {
        start();
        up();
    }
    void up() {
        REQUIRE(state() == LinkState::connecting);
        transport.link.opened();
        run(now);
        REQUIRE(state() == LinkState::connected);
    }
    void say(const std::string& text) {
        belay_test::receive(transport.link, text);
        run(now);
    }
    void drop() {
        transport.link.closed({.cause = Cause::lost});
        run(now);
    }
    void redial() {
        now += 10s;
        run(now);
    }
    Duration now{};
};

}  // namespace

static_assert(belay_test::DefaultMember<LinkAwaits<>>);

TEST_CASE("connected and receive pass all events of a link to a coroutine",
          "[link][awaitable][unit]") {
    TransportState transport;
    AwaitRig rig{FakeTransport<>{transport}, Awaits{}};
    Observed observed;
    rig.link.start();
    auto task = receive_all(rig.link, observed);
    task.start();
    rig.run(0s);
    CHECK(observed.empty());
    transport.link.opened();
    rig.run(0s);
    belay_test::receive(transport.link, "one");
    belay_test::receive(transport.link, "two");
    rig.run(0s);
    transport.link.closed({.cause = Cause::lost});
    rig.run(0s);
    CHECK(observed == Observed{"up", "one", "two", "down"});
    rig.run(1s);
    transport.link.opened();
    belay_test::receive(transport.link, "three");
    rig.run(1s);
    CHECK_FALSE(task.done());
    rig.link.stop();
    rig.run(1s);
    CHECK(observed == Observed{"up", "one", "two", "down", "up", "three", "down", "over"});
    CHECK(task.done());
}

TEST_CASE("connected ends where only a command leads on, including commands given before",
          "[link][awaitable][unit]") {
    TransportState transport;
    AwaitRig rig{FakeTransport<>{transport}, Awaits{}};
    std::optional<Rests> answer;
    SECTION("the link was never started") {
        auto task = until_connected(rig.link, answer);
        task.start();
        rig.run(0s);
        REQUIRE(answer);
        CHECK(answer->error().error() == std::errc::not_connected);
    }
    SECTION("the link is started in the same turn") {
        rig.link.stop();
        rig.link.start();
        auto task = until_connected(rig.link, answer);
        task.start();
        rig.run(0s);
        CHECK_FALSE(answer);
        transport.link.opened();
        rig.run(0s);
        REQUIRE((answer && *answer));
        CHECK((*answer)->state == LinkState::connected);
    }
    SECTION("the link was stopped during a wait, and is stopped again") {
        auto task = until_connected(rig.link, answer);
        task.start();
        rig.link.stop();
        rig.run(0s);
        REQUIRE(answer);
        CHECK_FALSE(*answer);
    }
    SECTION("rejected credentials are replaced by new ones") {
        rig.start();
        transport.link.closed({.cause = Cause::unauthorized});
        rig.run(0s);
        auto blocked = until_connected(rig.link, answer);
        blocked.start();
        rig.run(0s);
        REQUIRE(answer);
        CHECK(answer->error().cause == Cause::unauthorized);
        answer.reset();
        rig.link.credentials();
        auto again = until_connected(rig.link, answer);
        again.start();
        rig.run(0s);
        CHECK_FALSE(answer);
        transport.link.opened();
        rig.run(0s);
        CHECK((answer && *answer));
    }
    SECTION("failed for good") {
        rig.start();
        auto task = until_connected(rig.link, answer);
        task.start();
        transport.link.closed({.cause = Cause::permanent});
        rig.run(0s);
        REQUIRE(answer);
        CHECK(answer->error().cause == Cause::permanent);
    }
    SECTION("connected waits through an outage and a closed gate") {
        rig.start();
        auto task = until_connected(rig.link, answer);
        task.start();
        transport.link.closed({.cause = Cause::lost});
        rig.run(0s);
        rig.link.shut(Gate::network);
        rig.run(1s);
        CHECK(rig.state() == LinkState::offline);
        CHECK_FALSE(answer);
    }
}

TEST_CASE("receive returns queued messages and then the end of each connection once",
          "[link][awaitable][unit]") {
    Connected rig;
    rig.say("kept");
    rig.say("too");
    rig.drop();
    rig.redial();
    rig.up();
    rig.say("new");
    Observed observed;
    auto task = [](auto& link, Observed& out) -> Task<bool> {
        for (int i = 0; i < 5; ++i) {
            const auto received = co_await receive(link);
            out.push_back(received ? *received : std::string{to_string(received.error().cause)});
        }
        co_return true;
    }(rig.link, observed);
    task.start();
    CHECK(observed == Observed{"kept", "too", "lost", "new"});
    rig.drop();
    CHECK(observed == Observed{"kept", "too", "lost", "new", "lost"});
    // No connection is open, so the coroutine does not wait.
    std::optional<ReceivedMessage> answer;
    auto at_once = receive_once(rig.link, answer);
    at_once.start();
    REQUIRE(answer);
    CHECK_FALSE(*answer);
}

TEST_CASE("LinkAwaits holds a bounded number of messages, and closes the connection at one more",
          "[link][awaitable][fault]") {
    Connected rig{2};
    for (const char* const text : {"one", "two", "three", "four"}) {
        belay_test::receive(rig.transport.link, text);
    }
    rig.run(0s);
    CHECK(rig.state() == LinkState::cooldown);
    CHECK(rig.link.status().failure.cause == Cause::overloaded);
    Observed observed;
    auto task = receive_all(rig.link, observed);
    rig.redial();
    rig.up();
    task.start();
    CHECK(observed == Observed{"up", "one", "two", "down", "up"});
    // There is room again.
    for (const char* const text : {"five", "six", "seven"}) rig.say(text);
    CHECK(observed.back() == "seven");
    CHECK(rig.state() == LinkState::connected);
}

TEST_CASE("receive with several waiting coroutines gives a message to the first, and an end to all",
          "[link][awaitable][unit]") {
    Connected rig;
    std::optional<ReceivedMessage> first, second, third;
    auto a = receive_once(rig.link, first);
    auto b = std::make_unique<Task<bool>>(receive_once(rig.link, second));
    auto c = receive_once(rig.link, third);
    a.start(), b->start(), c.start();
    SECTION("messages") {
        b.reset();
        rig.say("one");
        CHECK((first && !third));
        rig.say("two");
        REQUIRE(third);
        CHECK(**first == "one");
        CHECK(**third == "two");
    }
    SECTION("the end") {
        rig.drop();
        CHECK((first && second && third));
        CHECK_FALSE(*second);
    }
    SECTION("the end, and the first receiver destroys the next") {
        std::optional<Task<bool>> victim;
        Connected other;
        auto killer = [](auto& link, std::optional<Task<bool>>& v) -> Task<bool> {
            const auto received = co_await receive(link);
            v.reset();
            co_return received.has_value();
        }(other.link, victim);
        killer.start();
        std::optional<ReceivedMessage> never_answered;
        victim.emplace(receive_once(other.link, never_answered));
        victim->start();
        other.drop();
        CHECK(killer.done());
        CHECK_FALSE(never_answered);
    }
}

TEST_CASE("A coroutine may be destroyed while it waits, and may destroy the link",
          "[link][awaitable][fault]") {
    std::optional<Rests> up;
    std::optional<ReceivedMessage> received;
    SECTION("the coroutine, in either wait") {
        TransportState transport;
        AwaitRig rig{FakeTransport<>{transport}, Awaits{}};
        rig.start();
        {
            auto task = until_connected(rig.link, up);
            task.start();
        }
        transport.link.opened();
        rig.run(0s);
        {
            auto task = receive_once(rig.link, received);
            task.start();
        }
        belay_test::receive(transport.link, "x");
        rig.run(0s);
        CHECK_FALSE((up || received));
    }
    SECTION("the link, and its waiting coroutines are never resumed") {
        auto rig = std::make_unique<Connected>();
        auto task = receive_once(rig->link, received);
        task.start();
        rig.reset();
        CHECK_FALSE(task.done());
    }
    for (const bool by_message : {true, false}) {
        DYNAMIC_SECTION("the link, from a coroutine that goes on in its turn " << by_message) {
            TransportState transport;
            auto link = std::make_unique<Supervisor<FakeTransport<>, decltype(doubling()), Awaits>>(
                FakeTransport<>{transport}, doubling(), SupervisorOptions{}, Awaits{});
            link->start();
            link->advance(at(0s));
            transport.link.opened();
            link->advance(at(0s));
            auto task = [](auto& owner) -> Task<bool> {
                const auto got = co_await receive(*owner);
                owner.reset();
                co_return got.has_value();
            }(link);
            task.start();
            auto other = receive_once(*link, received);
            other.start();
            if (by_message) {
                belay_test::receive(transport.link, "x");
                belay_test::receive(transport.link, "y");
            } else {
                transport.link.closed();
            }
            link->advance(at(0s));
            CHECK(task.done());
            CHECK_FALSE(received);
        }
    }
}

namespace {

using Both = Tee<std::reference_wrapper<Notes>, Awaits>;

/// A coroutine that waits for messages only some of the time.
struct Listener {
    Observed observed{};
    std::coroutine_handle<> paused{};
    bool busy = false;

    bool await_ready() const noexcept { return !busy; }
    void await_suspend(std::coroutine_handle<> c) noexcept { paused = c; }
    void await_resume() const noexcept {}
    void go_on() {
        busy = false;
        if (paused) std::exchange(paused, nullptr).resume();
    }
};
template <class Link>
Task<bool> listens(Link& link, Listener& listener) {
    for (;;) {
        co_await listener;
        const auto received = co_await receive(link);
        listener.observed.push_back(received ? *received : "end");
        if (received || co_await connected(link)) continue;
        listener.busy = true;
    }
}

/// Returns what the observer saw: messages, and an end after those of each connection.
Observed reported_for(const Notes& notes) {
    Observed reported;
    bool up = false;
    for (const std::string& line : notes.observed) {
        if (line.starts_with("message ")) reported.push_back(line.substr(8, line.find(" on ") - 8));
        if (line.find(' ') != std::string::npos) continue;
        const bool has_message = line == "connected" || line == "draining";
        if (up && !has_message) reported.emplace_back("end");
        up = has_message;
    }
    return reported;
}
/// A coroutine that did not wait sees several ends without a message between them as one.
Observed without_repeats(Observed observed) {
    const auto both_end = [](const auto& a, const auto& b) { return a == "end" && b == "end"; };
    observed.erase(std::unique(observed.begin(), observed.end(), both_end), observed.end());
    if (!observed.empty() && observed.front() == "end") observed.erase(observed.begin());
    return observed;
}

void receives_as_an_observer(Seed seed) {
    Random chance{seed};
    const auto pick = [&](std::uint64_t n) { return uniform_upto(chance, n - 1); };
    TransportState transport;
    Notes notes;
    Listener listener;
    Supervisor link{
        FakeTransport<>{transport}, doubling(), {}, Both{std::ref(notes), Awaits{1000}}};
    Instant now = at(0s);
    auto task = listens(link, listener);
    task.start();
    link.start();
    link.advance(now);
    int output = 0;
    for (int i = 0; i < 200; ++i) {
        switch (pick(14)) {
            case 0:
                link.stop();
                break;
            case 1:
                link.start();
                break;
            case 2:
                link.shut(Gate::network);
                break;
            case 3:
                link.open(Gate::network);
                break;
            case 4:
                transport.link.closed({.cause = static_cast<Cause>(1 + pick(10))});
                break;
            case 5:
                link.reconnect_now(true);
                break;
            case 6:
                if (pick(4) == 0) link.drain(1s);
                break;
            case 7:
                listener.busy = true;
                break;
            case 8:
                listener.go_on();
                break;
            case 9:
                now = after(now, std::chrono::milliseconds{pick(3000)});
                break;
            case 10:
            case 11:
                belay_test::receive(transport.link, std::to_string(++output));
                break;
            default:
                transport.link.opened();
                break;
        }
        for (int turns = 0; pick(3) != 0 && link.deadline() <= now; ++turns) {
            REQUIRE(turns < 100);
            link.advance(now);
        }
    }
    link.stop();
    for (int i = 0; i < 300; ++i) {
        listener.go_on();
        while (link.deadline() <= now) link.advance(now);
    }
    CHECK(without_repeats(listener.observed) == without_repeats(reported_for(notes)));
}

}  // namespace

TEST_CASE("A coroutine sees the same events as an observer, however late it waits",
          "[link][awaitable][property]") {
    for_each_seed(receives_as_an_observer, 500);
}
