// SPDX-License-Identifier: MIT
// Goal: the specification of automatic reconnection, line by line, by its own names. Method: the
// ready-made policy, heartbeat and session in simulated worlds, whose service is killed, cut off,
// or frozen for a time of the seed's choice.
#include <atomic>
#include <map>
#include <thread>

#include <belay/drive/loop.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_log.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/spec/refusing_transport.hpp"
#include "support/spec/service_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The kind of an outage of the service.
enum class Away { killed, cut_off, frozen };
constexpr Away all_ways[] = {Away::killed, Away::cut_off, Away::frozen};

template <class W>
void leave(W& w, Away how) {
    if (how == Away::killed) w.world.kill(w.service);
    if (how == Away::cut_off) w.world.network().partition(w.client, w.service);
    if (how == Away::frozen) w.world.pause(w.service);
}
template <class W>
void come_back(W& w, Away how) {
    if (how == Away::killed) w.world.restart(w.service);
    if (how == Away::cut_off) w.world.network().heal(w.client, w.service);
    if (how == Away::frozen) w.world.resume(w.service);
}

Duration drawn_up_to(sim::World& world, Duration most) {
    return Duration{static_cast<std::int64_t>(
        uniform_upto(world.bits(), static_cast<std::uint64_t>(most.count())))};
}

std::vector<std::string> named(int first, int last) {
    std::vector<std::string> all;
    for (int i = first; i <= last; ++i) all.push_back("operation " + std::to_string(i));
    return all;
}

}  // namespace

// ---- the tests that the specification names -----------------------------------------------------

TEST_CASE("test_exponential_backoff", "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            ServiceWorld w{seed};
            w.settle();
            w.world.kill(w.service);
            w.world.run_for(15s);
            const std::vector<Duration> waits = w.waits();
            REQUIRE(waits.size() >= 4);
            Duration nominal = 1s;
            for (std::size_t i = 0; i < 4; ++i, nominal *= 2) {
                CHECK(waits[i] >= nominal);
                CHECK(waits[i] <= nominal + nominal / 10);
            }
        },
        100);
}

TEST_CASE("test_circuit_breaker", "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    // Five failures, at 1, 3, 7, 15 and 31 s and a tenth. After them no attempt for five minutes.
    REQUIRE(w.run_until(LinkState::suspended, 40s));
    CHECK(w.count(LinkState::connecting) == 5);
    CHECK(w.link().status().decided_by == "Breaker");
    w.world.run_for(299s);
    CHECK(w.count(LinkState::connecting) == 5);
    // Then one probe at a time, within nine minutes of the opening. The specification's sketch
    // never continued.
    w.world.run_for(242s);
    CHECK(w.count(LinkState::connecting) == 6);
    CHECK(w.state() == LinkState::suspended);
    w.world.restart(w.service);
    CHECK(w.run_until(LinkState::connected, 541s));
}

TEST_CASE("test_queue_resumption", "[spec][reconnection][sim]") {
    OperationWorld w;
    w.world.run_for(15s);
    w.world.kill(w.service);
    w.world.run_for(1s);
    for (const std::string& text : named(1, 100)) REQUIRE(w.send(text));
    CHECK(w.session().depth() == 100);
    w.world.run_for(5s);
    w.world.restart(w.service);
    REQUIRE(w.run_until_applied(90s));
    CHECK(w.applied() == named(1, 100));
}

// ---- functional requirements -------------------------------------------------------------------

TEST_CASE("detected within 30 s", "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            for (const Away how : all_ways) {
                ServiceWorld w{seed};
                w.settle();
                w.world.run_for(drawn_up_to(w.world, 1min));
                const Instant gone = w.world.now();
                leave(w, how);
                REQUIRE(w.run_until(LinkState::cooldown, 1min));
                CHECK(elapsed(gone, *w.first(LinkState::cooldown)) <= 30s);
            }
        },
        100);
}

TEST_CASE("reconnects by itself, with backoff", "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    w.world.run_for(10s);
    w.world.restart(w.service);
    CHECK(w.run_until(LinkState::connected, 20s));
}

TEST_CASE("operations that wait are resumed, of any outage", "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            for (const Away how : all_ways) {
                OperationWorld w{seed};
                w.world.run_for(15s);
                REQUIRE(w.send("operation 1"));
                leave(w, how);
                for (int i = 2; i <= 20; ++i) {
                    w.world.run_for(drawn_up_to(w.world, 1s));
                    REQUIRE(w.send("operation " + std::to_string(i)));
                }
                come_back(w, how);
                REQUIRE(w.run_until_applied(10min));
                CHECK(w.applied() == named(1, 20));
            }
        },
        50);
}

TEST_CASE("the user is notified of each step of a reconnection", "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    REQUIRE(w.run_until(LinkState::cooldown, 1s));
    using Kind = Connectivity::Kind;
    const Connectivity lost = connectivity(w.link().status());
    CHECK(lost.kind == Kind::disconnected);
    CHECK(lost.reason.cause == Cause::lost);
    w.world.run_for(2s);
    const Connectivity retrying = connectivity(w.link().status());
    CHECK(retrying.kind == Kind::reconnecting);
    CHECK(retrying.attempt == 1);
    w.world.restart(w.service);
    REQUIRE(w.run_until(LinkState::connected, 10s));
    CHECK(connectivity(w.link().status()).kind == Kind::connected);
    // There is one event for each transition. The events chain, and have the time of the next
    // attempt.
    LinkState before = LinkState::connected;
    for (const Step& step : w.steps) {
        CHECK(step.change.from == before);
        before = step.change.to.state;
        if (before == LinkState::cooldown) CHECK(step.change.to.retry_at > step.at);
    }
}

TEST_CASE("operations keep their state while disconnected", "[spec][reconnection][sim]") {
    OperationWorld w;
    w.world.run_for(15s);
    REQUIRE(w.send("operation 1"));
    REQUIRE(w.run_until_applied(10s));
    w.world.kill(w.service);
    for (int i = 2; i <= 10; ++i) REQUIRE(w.send("operation " + std::to_string(i)));
    w.world.run_for(24h);
    // The service has failed by then, after ten attempts. The operations are unchanged.
    CHECK(w.session().status().link.state == LinkState::failed);
    CHECK(w.session().depth() == 9);
    w.world.restart(w.service);
    static_cast<void>(w.session().reconnect_now());
    REQUIRE(w.run_until_applied(10s));
    CHECK(w.applied() == named(1, 10));
}

TEST_CASE("a manual reconnection does not wait for the backoff", "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    w.world.run_for(20s);
    REQUIRE(w.state() == LinkState::cooldown);
    REQUIRE(elapsed(w.world.now(), w.link().status().retry_at) > 5s);
    w.world.restart(w.service);
    CHECK(w.link().reconnect_now().granted);
    CHECK(w.run_until(LinkState::connected, 1s));
}

TEST_CASE("reconnections do not flood, whichever caller requests them",
          "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    w.world.run_for(1ms);
    // A user presses the button for a minute: one attempt in a second, until the breaker opens.
    for (int i = 0; i < 6000; ++i) {
        w.link().reconnect_now();
        w.world.run_for(10ms);
    }
    std::map<std::int64_t, int> in_second;
    Instant last = always;
    for (const Step& step : w.steps) {
        if (step.change.to.state != LinkState::connecting) continue;
        if (last != always) CHECK(elapsed(last, step.at) >= 900ms);
        last = step.at;
    }
    CHECK(w.count(LinkState::connecting) <= 6);
    CHECK(w.state() == LinkState::suspended);
}

TEST_CASE("services recover one by one, each with a queue of its own",
          "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            ManagerWorld w{seed};
            w.world.run_for(15s);
            for (std::size_t i = 0; i < 3; ++i) REQUIRE(w.state(i) == LinkState::connected);
            for (sim::Host* const host : w.hosts) w.world.kill(*host);
            w.world.run_for(2s);
            for (std::size_t i = 0; i < 3; ++i) {
                for (const std::string& text : named(1, 10 * static_cast<int>(i + 1))) {
                    REQUIRE(w.send(i, text));
                }
                CHECK(w.status(i).queued == 10 * (i + 1));
            }
            CHECK(w.fleet().status().queued == 60);
            w.world.restart(*w.hosts[0]);
            w.world.restart(*w.hosts[2]);
            CHECK(w.world.run_until(
                [&] { return w.status(0).queued == 0 && w.status(2).queued == 0; }, 30s));
            CHECK((w.state(0) == LinkState::connected && w.state(2) == LinkState::connected));
            w.world.run_for(1min);
            CHECK((w.state(0) == LinkState::connected && w.state(2) == LinkState::connected));
            // The second service is still down, and keeps its operations.
            CHECK(w.state(1) != LinkState::connected);
            CHECK(w.status(1).queued == 20);
            w.world.restart(*w.hosts[1]);
            // The user's button; an open breaker permits it as its probe.
            CHECK(w.fleet().reconnect_now("sound", true).granted);
            CHECK(w.world.run_until([&] { return w.fleet().status().queued == 0; }, 10s));
            for (std::size_t i = 0; i < 3; ++i) {
                CHECK(w.applied(i) == named(1, 10 * static_cast<int>(i + 1)));
            }
        },
        20);
}

TEST_CASE("an outage of the network counts against no service of the manager",
          "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            ManagerWorld w{seed};
            w.world.run_for(15s);
            for (sim::Host* const host : w.hosts) {
                w.world.network().drop_connections(*w.client, *host);
                w.world.network().partition(*w.client, *host);
            }
            for (std::size_t i = 0; i < 3; ++i) REQUIRE(w.send(i, "operation 1"));
            // The outage is longer than ten attempts of one service, after which the service would
            // fail.
            w.world.run_for(1h);
            CHECK(w.fleet().counters().network_suspect);
            CHECK(w.fleet().counters().count(LinkState::failed) == 0);
            CHECK(w.fleet().counters().count(LinkState::suspended) == 0);
            w.world.network().heal_all();
            CHECK(w.world.run_until([&] { return w.fleet().status().queued == 0; }, 90s));
            for (std::size_t i = 0; i < 3; ++i) CHECK(w.applied(i) == named(1, 1));
        },
        5);
}

// ---- technical requirements --------------------------------------------------------------------

TEST_CASE("waits grow 1 s, 2 s, 4 s to at most 60 s", "[spec][reconnection][unit]") {
    constexpr auto policy = policies::reconnection();
    constexpr Duration nominal[] = {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s};
    Random bits{Seed{1}};
    // Without its breaker and its limit, which have their own tests.
    Backoff waits{ProportionalJitter::plus_percent(10), Cap{60s}, 1s};
    for (const Duration n : nominal) {
        for (int draw = 0; draw < 1000; ++draw) {
            auto copy = waits;
            const Duration wait = copy.next(bits);
            // The cap is a hard limit: the sketch added its jitter after it, and reached 66 s.
            CHECK((wait >= n - n / 10 && wait <= std::min<Duration>(n + n / 10, 60s)));
        }
        static_cast<void>(waits.next(bits));
    }
    static_assert(policy.longest_wait(0) == 1100ms && policy.longest_wait(1) == 2200ms &&
                  policy.longest_wait(2) == 4400ms && policy.longest_wait(4) == 17600ms);
}

TEST_CASE("the queue survives the client's own crash during an outage",
          "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            OperationWorld w{seed};
            w.world.run_for(15s);
            w.world.kill(w.service);
            for (int i = 1; i <= 10; ++i) REQUIRE(w.send("operation " + std::to_string(i)));
            w.world.run_for(drawn_up_to(w.world, 1min));
            w.world.kill(w.client);
            w.world.run_for(drawn_up_to(w.world, 1min));
            w.world.restart(w.client);
            w.world.restart(w.service);
            w.world.run_for(1ms);
            REQUIRE(w.run_until_applied(10min));
            CHECK(w.applied() == named(1, 10));
        },
        50);
}

TEST_CASE("the state machine takes its own paths only", "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    w.world.run_for(24h);
    CHECK(w.state() == LinkState::failed);
    for (const Step& step : w.steps) {
        const LinkState from = step.change.from;
        const LinkState to = step.change.to.state;
        const bool attempts = to == LinkState::connecting;
        const bool waits = to == LinkState::cooldown || to == LinkState::suspended;
        CHECK((attempts || waits || to == LinkState::failed));
        // Only a wait leads to an attempt, and only a failure for good is final.
        if (attempts) CHECK((from == LinkState::cooldown || from == LinkState::suspended));
        if (waits) CHECK((from == LinkState::connected || from == LinkState::connecting));
    }
    CHECK(w.steps.back().change.to.state == LinkState::failed);
    CHECK(w.steps.back().change.to.decided_by == "MaxAttempts");
    CHECK(w.count(LinkState::connecting) == 10);
}

TEST_CASE("a handle commands a reconnection from any thread", "[spec][reconnection][fault]") {
    Loop loop;
    Supervisor link{RefusingTransport{}, policies::reconnection()};
    loop.attach(link);
    const auto handle = link.handle();
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 200; ++n) {
                handle.start();
                handle.reconnect_now();
                static_cast<void>(handle.status());
                handle.stop();
            }
        });
    }
    std::thread ender{[&] {
        for (auto& thread : threads) thread.join();
        done = true;
        loop.stop();
    }};
    loop.run();
    ender.join();
    loop.run_until([] { return true; });
    CHECK(done);
    CHECK(handle.status().state == link.status().state);
}

TEST_CASE("a connection's resources are released before the next attempt",
          "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    for (int round = 0; round < 20; ++round) {
        leave(w, all_ways[round % 3]);
        w.world.run_for(1min);
        CHECK(w.world.network().sockets(w.client) <= 1);
        come_back(w, all_ways[round % 3]);
        w.link().reconnect_now();
        REQUIRE(w.run_until(LinkState::connected, 10min));
        w.world.run_for(11s);
        CHECK(w.world.network().sockets(w.client) == 1);
    }
}

TEST_CASE("a connection is validated before it is called connected", "[spec][reconnection][sim]") {
    ServiceWorld w;
    w.settle();
    // When frozen, the service still accepts: the kernel does.
    w.world.pause(w.service);
    REQUIRE(w.run_until(LinkState::cooldown, 30s));
    w.world.run_for(2min);
    CHECK_FALSE(w.first(LinkState::connected));
    CHECK(w.link().status().failure.error() == LinkErrc::attempt_timed_out);
}

// ---- quality requirements ----------------------------------------------------------------------

TEST_CASE("back within 3 attempts and 90 s", "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            for (const Away how : all_ways) {
                ServiceWorld w{seed};
                w.settle();
                leave(w, how);
                REQUIRE(w.run_until(LinkState::cooldown, 30s));
                const Instant lost = w.world.now();
                // Connected again before the third attempt begins: attempts that are refused at
                // once are quick, and others take 25 s each.
                const Duration third = how == Away::killed ? 7s : 57s;
                w.world.run_for(drawn_up_to(w.world, third - 1ms));
                come_back(w, how);
                REQUIRE(w.run_until(LinkState::connected, 10min));
                CHECK(elapsed(lost, w.world.now()) <= 90s);
                CHECK(w.count(LinkState::connecting) <= 3);
            }
        },
        300);
}

TEST_CASE("no operation is lost, and none takes effect twice", "[spec][reconnection][sim]") {
    for_each_seed(
        [](Seed seed) {
            OperationWorld w{seed};
            w.world.network().cut_one_in(40);
            int sent = 0;
            for (int outage = 0; outage < 6; ++outage) {
                for (int i = 0; i < 5; ++i) {
                    w.world.run_for(drawn_up_to(w.world, 2s));
                    REQUIRE(w.send("operation " + std::to_string(++sent)));
                }
                const Away how = all_ways[uniform_upto(w.world.bits(), 2)];
                leave(w, how);
                w.world.run_for(drawn_up_to(w.world, 40s));
                come_back(w, how);
            }
            w.world.network().cut_one_in(0);
            static_cast<void>(w.session().reconnect_now(true));
            REQUIRE(w.run_until_applied(30min));
            CHECK(w.applied() == named(1, sent));
        },
        100);
}

TEST_CASE("an idle retry wakes exactly once per deadline", "[spec][reconnection][sim]") {
    // Less than 1 % of a processor, by a count: no turn happens between two attempts.
    ServiceWorld w;
    w.settle();
    w.world.kill(w.service);
    REQUIRE(w.run_until(LinkState::suspended, 1min));
    const Instant until = w.link().status().retry_at;
    const std::uint64_t events = w.world.events();
    w.world.run_for(elapsed(w.world.now(), until) - 1ms);
    CHECK(w.world.events() == events);
    CHECK(w.link().now() < before(until, 4min));
    w.world.run_for(2ms);
    CHECK(w.link().now() >= until);
}

TEST_CASE("a permanent failure ends the attempts, and is reported", "[spec][reconnection][unit]") {
    struct Forbids {
        using message_type = int;
        struct Connection {
            SendResult send(const int&) noexcept { return SendResult::down; }
        };
        int* dials;
        Connection open(const Link<int>& link) {
            ++*dials;
            link.closed({.cause = Cause::forbidden});
            return {};
        }
    };
    int dials = 0;
    Supervisor link{Forbids{&dials}, policies::reconnection()};
    link.start();
    const auto run = [&](Duration now) {
        for (int i = 0; i < 9 && link.deadline() <= Instant{now}; ++i) link.advance(Instant{now});
    };
    run(0s);
    CHECK(link.status().state == LinkState::failed);
    CHECK(link.status().failure.message() == "forbidden");
    run(24h);
    CHECK(dials == 1);
    // A command leaves the state.
    CHECK(link.reconnect_now().granted);
    run(24h);
    CHECK(dials == 2);
}

TEST_CASE("each retry is in the log, with its wait and its cause", "[spec][reconnection][sim]") {
    std::vector<std::string> lines;
    struct Sink {
        std::vector<std::string>* to;
        void operator()(std::string_view line) const { to->emplace_back(line); }
    };
    sim::World world{Seed{5}};
    sim::Host& service =
        world.host("service", [](sim::Host& h) { return std::make_unique<EchoService>(h); });
    sim::Host& client = world.host("client");
    Supervisor link{sim::Tcp{client, "service", 1},
                    policies::reconnection(),
                    {},
                    LinkLog{Sink{&lines}, LogLevel::retry, "service"}};
    client.attach(link);
    link.start();
    world.run_for(1s);
    CHECK(link.send(to_bytes("hello")) == SendResult::sent);  // the echo is evidence of the service
    world.run_for(14s);
    world.kill(service);
    world.run_for(4s);
    world.restart(service);
    CHECK(world.run_until([&] { return link.status().state == LinkState::connected; }, 1min));
    const auto has = [&](std::string_view what) {
        for (const std::string& line : lines) {
            if (line.find(what) != line.npos) return true;
        }
        return false;
    };
    CHECK(has("service: lost ("));
    CHECK(has("attempt 1 in 1.0 s"));
    CHECK(has("Backoff"));
    CHECK(has("refused"));
    CHECK(has("attempt 2"));
    CHECK(has("connected again after"));
    link.stop();
}
