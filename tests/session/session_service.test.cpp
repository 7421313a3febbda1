// SPDX-License-Identifier: MIT
// Goal: a Session is a service of a Fleet, with its dial limit, its verdict on the network, its
// status and its manual retry, and it delivers exactly once through all of that. Method: scripted
// receivers; and simulated worlds of 1, 3 and 50 sessions with outages, frozen peers and crashes.
#include <belay/session/session_service.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <belay/fleet.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/receiver.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session/session_fleet_world.hpp"
#include "support/session/session_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Records events of the fleet, such as "a connected".
struct ServiceNotes {
    std::vector<std::string>* all;
    int outages = 0;
    std::function<void(std::string_view)> then = {};
    void on_service(std::string_view name, const Transition& t) {
        all->push_back(std::string{name} + " " + std::string{to_string(t.to.state)});
        if (then) then(name);
    }
    void on_network_suspect(const NetworkSuspect&) { ++outages; }
};
/// Records events of one session, and runs a function in each of its hooks.
struct HookNotes : SessionNotes {
    std::function<void(std::string)> in = {};
    void reached(const char* hook) {
        if (in) in(hook);
    }
    void on_state(const Transition& t) { SessionNotes::on_state(t), reached("on_state"); }
    void on_accepted(std::uint64_t n) { SessionNotes::on_accepted(n), reached("on_accepted"); }
    void on_acknowledged(std::uint64_t n) {
        SessionNotes::on_acknowledged(n), reached("on_acknowledged");
    }
    void on_blocked(Blocked b, const BlockedDetails& d) {
        SessionNotes::on_blocked(b, d), reached("on_blocked");
    }
    void on_stalled() { SessionNotes::on_stalled(), reached("on_stalled"); }
};

/// A fleet of sessions, whose receivers are scripted.
struct FleetOfSessions {
    using F = Fleet<ServiceNotes>;
    using S = Session<RawTransport<RawPingedConnection>, decltype(patient()), Queue<DiskJournal>,
                      std::reference_wrapper<HookNotes>>::Service;
    static constexpr Id store{std::byte{0x5A}};

    struct One {
        sim::Disk disk{};
        RawLinks lines{};
        HookNotes notes{};
        S* session = nullptr;
    };

    explicit FleetOfSessions(int count, FleetOptions options = {}, SessionOptions session = {}) {
        fleet = std::make_unique<F>(options, ServiceNotes{&changes});
        fleet->attach(Waker{});
        for (int i = 0; i < count; ++i) {
            One& one = all.emplace_back();
            session.id = id(static_cast<unsigned>(i) + 1);
            one.session = &fleet->add(std::string{"abcdefgh"[i]},
                                      RawTransport<RawPingedConnection>{one.lines}, patient(),
                                      Queue{open_journal(one.disk)}, session, std::ref(one.notes));
        }
    }
    void run(Duration until) {
        const int before = turns;
        while (fleet != nullptr && fleet->deadline() <= at(until)) {
            REQUIRE(++turns < before + 10'000);
            now = detail::larger(now, fleet->deadline());
            fleet->advance(now);
        }
        now = at(until);
    }
    void run() { run(elapsed(Instant{}, now)); }
    RawLink& line(int i) { return *all[static_cast<std::size_t>(i)].lines.back(); }
    S& session(int i) { return *all[static_cast<std::size_t>(i)].session; }
    /// The receiver adopts the session's journal.
    void resume(int i) {
        const auto attach =
            (std::uint64_t{1} << 32U) + all[static_cast<std::size_t>(i)].lines.size();
        line(i).say(bytes_of(
            session_format::Welcome{.attach = attach, .payload_bytes_max = 100, .store = store}));
        run();
        line(i).say(ack(0));
        run();
        REQUIRE(session(i).status().link.state == LinkState::connected);
    }
    void up() {
        fleet->start();
        run(0s);
        for (int i = 0; i < static_cast<int>(all.size()); ++i) resume(i);
        changes.clear();
    }

    std::deque<One> all;
    std::vector<std::string> changes;
    Instant now{};
    int turns = 0;
    std::unique_ptr<F> fleet;
};

}  // namespace

TEST_CASE("A Session as a service of a Fleet has the session's interface and the fleet's status",
          "[session][session_service][unit]") {
    FleetOfSessions f{2};
    auto& a = f.session(0);
    CHECK(a.name() == "a");
    CHECK(a.send(as_bytes("one")).value() == 1);
    CHECK(a.commit() == std::error_code{});
    f.fleet->start();
    f.run(0s);
    CHECK(f.fleet->counters().dialling == 2);  // opened, and not resumed yet
    f.resume(0);
    CHECK(f.fleet->counters().dialling == 1);
    CHECK(f.line(0).sent_frames().back() == "data 1 one");
    const FleetStatus status = f.fleet->status();
    CHECK(status.services[0].name == "a");
    CHECK(status.services[0].queued == 1);
    CHECK(status.queued == 1);
    CHECK(status.services[0].link.state == LinkState::connected);
    CHECK(status.services[1].link.state == LinkState::connecting);
    f.line(0).say(ack(1));
    f.run();
    CHECK(a.depth() == 0);
    CHECK(f.fleet->status().queued == 0);
    CHECK(&a.observer() == &f.all[0].notes);
    CHECK(f.all[0].notes.take() ==
          Observed{"connecting", "accepted 1", "connected", "acknowledged 1"});
    CHECK(f.changes == std::vector<std::string>{"a connecting", "b connecting", "a connected"});
    a.drain(1s);
    f.run();
    CHECK(a.status().link.state == LinkState::stopped);
    CHECK(f.fleet->counters().count(LinkState::stopped) == 1);
    CHECK(f.changes.back() == "a stopped");
}

TEST_CASE("A session holds its place among the dials until the receiver has resumed it",
          "[session][session_service][unit]") {
    FleetOfSessions f{4, {.dials_max = 2}, {.greeting_max = 3s}};
    f.fleet->start();
    f.run(0s);
    CHECK(f.fleet->counters().dialling == 2);
    CHECK(f.fleet->counters().waiting_to_dial == 2);
    CHECK(f.all[2].lines.empty());
    f.resume(0);
    f.run(1s);
    CHECK(f.all[2].lines.size() == 1);
    CHECK(f.all[3].lines.empty());
    f.run(4s);  // the second has not been answered in time
    CHECK(f.all[3].lines.size() == 1);
    CHECK(f.session(1).status().link.failure.error() == SessionErrc::silent);
}

TEST_CASE("Sessions of higher priority dial first", "[session][session_service][unit]") {
    RawLinks lines;  // they outlive the fleet
    sim::Disk disk;
    FleetOfSessions f{2, {.dials_max = 1}};
    f.fleet->add("z", RawTransport<RawPingedConnection>{lines}, patient(),
                 Queue{open_journal(disk)}, SessionOptions{.id = id(9), .priority = 1});
    f.fleet->start();
    f.run(0s);
    CHECK(lines.size() == 1);
    CHECK((f.all[0].lines.empty() && f.all[1].lines.empty()));
}

TEST_CASE("Sessions whose receivers fall silent together suspect the network, and count no attempt",
          "[session][session_service][unit]") {
    FleetOfSessions f{3};
    f.up();
    REQUIRE(f.session(0).send(as_bytes("waits")).has_value());
    f.run(25s);  // no receiver has answered a ping
    CHECK(f.fleet->counters().held == 3);
    f.run(25300ms);
    CHECK(f.fleet->counters().network_suspect);
    CHECK(f.fleet->observer().outages == 1);
    for (int i = 0; i < 3; ++i) {
        CHECK(f.session(i).status().link.withdrawn);
        CHECK(f.session(i).status().link.failure.error() == LinkErrc::heartbeat_lost);
        CHECK(f.session(i).status().link.attempt == 0);
    }
    // A manual retry does not wait for the network.
    CHECK(f.session(1).reconnect_now().granted);
    f.run();
    CHECK(f.all[1].lines.size() == 2);
    CHECK(f.fleet->reconnect_now("c").granted);
    f.run();
    CHECK(f.all[2].lines.size() == 2);
    // The operations that were accepted meanwhile are still there.
    CHECK(f.session(0).depth() == 1);
}

TEST_CASE("A session whose receiver alone falls silent fails on its own",
          "[session][session_service][unit]") {
    FleetOfSessions f{3};
    f.up();
    for (int s = 5; s <= 25; s += 5) {
        f.run(Duration{std::chrono::seconds{s}} - 1ms);
        for (const int i : {0, 1}) f.line(i).say(ack(0));
    }
    f.run(26s);
    CHECK_FALSE(f.fleet->counters().network_suspect);
    CHECK(f.session(2).status().link.state != LinkState::connected);
    CHECK_FALSE(f.session(2).status().link.withdrawn);
    CHECK(f.session(0).status().link.state == LinkState::connected);
}

TEST_CASE("Blocked sessions are no failure of the network", "[session][session_service][unit]") {
    FleetOfSessions f{3};
    f.up();
    for (int i = 0; i < 3; ++i) f.line(i).say(error(SessionErrc::store_changed));
    f.run(10s);
    for (int i = 0; i < 3; ++i) {
        CHECK(f.session(i).status().link.state == LinkState::failed);
        CHECK(f.session(i).status().blocked == Blocked::receiver_lost_state);
    }
    CHECK_FALSE(f.fleet->counters().network_suspect);
    CHECK(f.fleet->observer().outages == 0);
    CHECK(f.fleet->counters().count(LinkState::failed) == 3);
}

TEST_CASE("A session whose files are displaced does not prove that the network works",
          "[session][session_service][unit]") {
    FleetOfSessions f{4};
    f.up();
    f.run(5s);
    for (int i = 0; i < 4; ++i) static_cast<void>(f.line(i).link.closed(lost));
    f.run(5300ms);
    REQUIRE(f.fleet->counters().network_suspect);
    REQUIRE(f.session(0).send(as_bytes("taken")).has_value());
    for (const auto& [path, bytes] : sim::Disk::Image{f.all[0].disk.image()}) {
        REQUIRE_FALSE(f.all[0].disk.rename(path, "away/" + path));
    }
    CHECK(f.session(0).commit() == QueueErrc::displaced);
    CHECK(f.session(0).reconnect_now(true).granted);
    f.run();
    CHECK(f.session(0).status().link.failure.error() == QueueErrc::displaced);
    CHECK(f.fleet->counters().network_suspect);
}

TEST_CASE("A session that cannot greet does not prove that the network works",
          "[session][session_service][unit]") {
    RawLinks lines;
    sim::Disk disk;
    FleetOfSessions f{3};
    f.up();
    f.run(5s);
    for (int i = 0; i < 3; ++i) static_cast<void>(f.line(i).link.closed(lost));
    f.run(5300ms);
    REQUIRE(f.fleet->counters().network_suspect);
    auto& mute = f.fleet->add(
        "mute", RawTransport<RawPingedConnection>{lines}, patient(), Queue{open_journal(disk)},
        SessionOptions{.id = id(9), .token = Bytes(session_format::token_bytes_max + 1)});
    mute.start();
    f.run();
    CHECK(mute.reconnect_now(true).granted);
    f.run();
    CHECK(mute.status().link.failure.error() == SessionErrc::token_too_long);
    CHECK(f.fleet->counters().network_suspect);
}

TEST_CASE("A session does not read its journal for a connection whose failure is held",
          "[session][session_service][unit]") {
    FleetOfSessions f{3, {}, {.batch_bytes = 1}};
    f.up();
    f.run(5s);
    static_cast<void>(f.line(0).link.closed(lost));
    f.run();
    REQUIRE(f.fleet->counters().held == 1);
    REQUIRE(f.session(0).status().link.state == LinkState::connected);
    for (int i = 0; i < 500; ++i) REQUIRE(f.session(0).send(as_bytes("x")).has_value());
    f.turns = 0;
    f.run();
    CHECK(f.turns <= 3);
    f.run(7s);
    DiskJournal& journal = f.session(0).queue().storage();
    // The session sends HELLO again, and then continues at the receiver's number.
    f.line(0).sent_frames();
    f.line(0).say(bytes_of(session_format::Welcome{.attach = (std::uint64_t{1} << 32U) + 2,
                                                   .payload_bytes_max = 100,
                                                   .known = true,
                                                   .store = FleetOfSessions::store,
                                                   .byte_limit = 1U << 20U,
                                                   .check = journal.check(0).value(),
                                                   .number_limit = 1000}));
    f.run();
    Observed sent = f.line(0).sent_frames();
    std::erase_if(sent, [](const std::string& frame) { return frame.substr(0, 4) != "data"; });
    REQUIRE(sent.size() == 500);
    CHECK(sent.front() == "data 1 x");
    CHECK(sent.back() == "data 500 x");
}

TEST_CASE("A session may be removed, and its fleet destroyed, inside each of its hooks",
          "[session][session_service][fault]") {
    const std::vector<std::string> hooks = {"on_state",   "on_accepted", "on_acknowledged",
                                            "on_blocked", "on_stalled",  "on_service"};
    const std::vector<std::pair<std::string, std::function<void(FleetOfSessions&)>>> commands = {
        {"remove", [](auto& f) { CHECK(f.fleet->remove("a")); }},
        {"stop, remove",
         [](auto& f) {
             f.session(0).stop();
             CHECK(f.fleet->remove("a"));
         }},
        {"stop", [](auto& f) { f.session(0).stop(); }},
        {"stop, start", [](auto& f) { f.session(0).stop(), f.session(0).start(); }},
        {"drain", [](auto& f) { f.session(0).drain(0s); }},
        {"reconnect", [](auto& f) { f.session(0).reconnect_now(true); }},
        {"send", [](auto& f) { static_cast<void>(f.session(0).send(as_bytes("inside"))); }},
        {"end", [](auto& f) { f.fleet.reset(); }},
    };
    for (const std::string& hook : hooks) {
        for (const auto& command : commands) {
            const std::string& name = command.first;
            for (int nth = 1; nth <= 3; ++nth) {
                INFO(name << " in " << hook << ", call " << nth);
                FleetOfSessions f{2, {}, {.stalled_after = 1s, .heartbeat = {20s, 50s}}};
                int left = nth;
                bool gone = false;
                bool begun = false;
                const auto at_hook = [&](const std::string& reached) {
                    CHECK_FALSE(gone);
                    if (reached != hook || --left != 0) return;
                    gone = name.find("remove") != name.npos || name == "end";
                    command.second(f);
                };
                f.all[0].notes.in = at_hook;
                f.fleet->observer().then = [&](std::string_view service) {
                    if (service == "a") at_hook("on_service");
                };
                const auto step = [&](auto&& what) {
                    if (f.fleet == nullptr || gone || (f.all[0].lines.empty() && begun)) return;
                    what();
                    f.run();
                };
                step([&] { f.fleet->start(); });
                step([&] { static_cast<void>(f.session(0).send(as_bytes("one"))); });
                begun = true;
                for (const int round : {1, 2}) {
                    step([&] {
                        if (!f.line(0).live) return;
                        f.line(0).say(bytes_of(session_format::Welcome{
                            .attach = (std::uint64_t{1} << 32U) + f.all[0].lines.size(),
                            .payload_bytes_max = 100,
                            .store = FleetOfSessions::store}));
                    });
                    step([&] { f.line(0).say(ack(0)); });
                    step([&] { f.run(elapsed(Instant{}, f.now) + 2s); });
                    step([&] { f.line(0).say(ack(1)); });
                    step([&] {
                        if (round == 2) f.line(0).say(error(SessionErrc::store_changed));
                    });
                    step([&] { static_cast<void>(f.session(0).reconnect_now(true)); });
                    step([&] { f.run(elapsed(Instant{}, f.now) + 2s); });
                }
                step([&] { f.session(0).stop(); });  // outside a turn
                step([&] { f.session(0).start(); });
                if (f.fleet == nullptr) continue;
                f.run();
                CHECK(f.fleet->contains("a") != gone);
                CHECK(f.fleet->status().services.size() == (gone ? 1U : 2U));
                std::size_t counted = 0;
                for (const std::size_t n : f.fleet->counters().totals) counted += n;
                CHECK(counted == f.fleet->size());
                if (gone && !f.all[0].lines.empty()) CHECK_FALSE(f.line(0).live);
            }
        }
    }
}

TEST_CASE("A session's changes are reported and counted in order after a hook that throws",
          "[session][session_service][fault]") {
    FleetOfSessions f{1};
    f.up();
    f.all[0].notes.take();
    f.all[0].notes.in = [&](const std::string& hook) {
        if (hook != "on_accepted") return;
        f.session(0).stop();
        f.session(0).start();
        throw std::runtime_error{"a hook"};
    };
    REQUIRE(f.session(0).send(as_bytes("one")).has_value());
    CHECK_THROWS_AS(f.run(), std::runtime_error);
    f.run();
    CHECK(f.all[0].notes.take() == Observed{"accepted 1", "stopped", "connecting"});
    CHECK(f.session(0).status().link.state == LinkState::connecting);
    CHECK(f.fleet->counters().count(LinkState::connecting) == 1);
}

TEST_CASE("A session that is removed while its journal is not flushed keeps what commit() covered",
          "[session][session_service][unit]") {
    FleetOfSessions f{1};
    REQUIRE(f.session(0).send(as_bytes("covered")).has_value());
    REQUIRE_FALSE(f.session(0).commit());
    REQUIRE(f.session(0).send(as_bytes("not covered")).has_value());
    CHECK(f.fleet->remove("a"));
    DiskJournal journal = open_journal(f.all[0].disk);
    CHECK(journal.last() >= 1);
    CHECK(text_of(journal.read(1).value()) == "covered");
    // The name can be used again, and so can the journal.
    auto& again = f.fleet->add("a", RawTransport<RawPingedConnection>{f.all[0].lines}, patient(),
                               Queue{std::move(journal)}, SessionOptions{.id = id(1)});
    CHECK(again.depth() >= 1);
}

namespace {

/// Checks that, within this time after the last fault, all operations are acknowledged, and took
/// effect once and in order.
/// last fault.
void delivers_within(SessionFleetWorld& w, Duration limit) {
    CHECK(w.world.run_until([&] { return w.depth() == 0; }, limit));
    for (std::size_t i = 0; i < w.servers.size(); ++i) {
        INFO("server " << i);
        CHECK(w.applied(i) == w.sent(i));
    }
}

}  // namespace

TEST_CASE("1, 3 and 50 sessions of a fleet deliver exactly once within 30 s of the last fault",
          "[session][session_service][sim]") {
    for (const std::size_t count : {1U, 3U, 50U}) {
        for_each_seed(
            [count](Seed seed) {
                INFO(count << " sessions");
                SessionFleetWorld w{seed, count};
                w.world.run_for(15s);
                w.send_all();
                // The network fails, with resets or in silence, and works again.
                const bool resets = uniform_upto(w.world.bits(), 1) == 0;
                w.part(resets);
                for (int i = 0; i < 5; ++i) {
                    w.world.run_for(w.some(20s));
                    w.send_all();
                }
                w.world.network().heal_all();
                delivers_within(w, 30s);
                // One peer freezes, another one crashes.
                w.world.pause(*w.servers[0]);
                if (count > 1) w.world.kill(*w.servers[1]);
                w.send_all();
                w.world.run_for(w.some(60s));
                w.send_all();
                if (count > 2) {
                    // The other sessions are not affected.
                    w.world.run_for(1s);
                    CHECK(w.session(2).depth() == 0);
                }
                w.world.resume(*w.servers[0]);
                if (count > 1) w.world.restart(*w.servers[1]);
                delivers_within(w, 30s);
            },
            count == 50 ? 5 : 30);
    }
}

TEST_CASE("An outage of the network uses no attempt of a fleet's sessions",
          "[session][session_service][sim]") {
    for_each_seed(
        [](Seed seed) {
            SessionFleetWorld w{seed, 4};
            w.world.run_for(15s);
            w.part(true);
            w.send_all();
            w.world.run_for(1h);
            for (std::size_t i = 0; i < 4; ++i) {
                CHECK(w.session(i).status().link.state != LinkState::failed);
                CHECK(w.session(i).depth() == 1);
            }
            w.world.network().heal_all();
            delivers_within(w, 30s);
        },
        10);
}
