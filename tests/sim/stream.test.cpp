// SPDX-License-Identifier: MIT
// Goal: a simulated stream carries bytes that are cut and joined anywhere, under the framings of
// posix::Tcp, so that a world finds a framing that fails at a cut. Method: check::transport, worlds
// with faults, and a framing with a planted fault.
#include <belay/sim/stream.hpp>

#include <memory>
#include <string>
#include <vector>

#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/transport_check.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/explore.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A process that sends each message back, and records its events.
template <class Framing>
struct StreamServer {
    struct Peer {
        Peer(sim::Host& h, sim::AcceptedStream<Framing> a, Notes& notes)
            : link{std::move(a), MaxAttempts{1}, {}, NotesObserver{&notes}} {
            h.attach(link);
            link.start();
        }
        Supervisor<sim::AcceptedStream<Framing>, MaxAttempts, NotesObserver> link;
    };

    StreamServer(sim::Host& h, std::vector<std::unique_ptr<Notes>>& log, Framing framing = {},
                 bool echo = true) {
        sim::listen_stream(
            h, 9000,
            [this, &h, &log, echo](sim::AcceptedStream<Framing> a) {
                log.push_back(std::make_unique<Notes>());
                log.back()->echo = echo;
                peers.push_back(std::make_unique<Peer>(h, std::move(a), *log.back()));
            },
            framing);
    }
    std::vector<std::unique_ptr<Peer>> peers;
};

/// A process that keeps a stream to the server.
template <class Framing>
struct StreamClient {
    StreamClient(sim::Host& h, Notes& notes, Framing framing = {})
        : link{sim::Stream<Framing>{h, "server", 9000, framing},
               retry_for_ever({}),
               {},
               NotesObserver{&notes}} {
        h.attach(link);
        link.start();
    }
    Supervisor<sim::Stream<Framing>, decltype(retry_for_ever({})), NotesObserver> link;
};

template <class Framing>
struct StreamRig {
    explicit StreamRig(Seed seed, Framing framing = {}, bool echo = true, Framing clients = {})
        : world{seed},
          server{world.host("server",
                            [this, framing, echo](sim::Host& h) {
                                return std::make_unique<StreamServer<Framing>>(h, log, framing,
                                                                               echo);
                            })},
          client{world.host("client", [this, clients](sim::Host& h) {
              return std::make_unique<StreamClient<Framing>>(h, notes, clients);
          })} {}
    auto& link() { return client.template process<StreamClient<Framing>>()->link; }
    auto& peer() { return server.template process<StreamServer<Framing>>()->peers.back()->link; }
    [[nodiscard]] bool connected() { return link().status().state == LinkState::connected; }
    void connect() {
        REQUIRE(world.run_until([&] { return connected() && !log.empty(); }, 10s));
        world.run_for(100ms);
    }

    std::vector<std::unique_ptr<Notes>> log;
    Notes notes;
    sim::World world;
    sim::Host& server;
    sim::Host& client;
};

/// The peer for check::transport: an echo in a simulated world.
struct CheckedStreamRig {
    std::vector<std::unique_ptr<Notes>> log{};
    sim::World world{Seed{7}};
    sim::Host& server{world.host("server", [this](sim::Host& h) {
        return std::make_unique<StreamServer<LengthPrefixed>>(h, log);
    })};
    sim::Host& client{world.host("client", [](sim::Host&) { return std::make_unique<int>(0); })};
    sim::Stream<> transport{client, "server", 9000};

    void run_once() { world.run_for(1ms); }
    void hang_up() { world.restart(server); }
};

/// The bug: a line counts as complete if a part of it has arrived.
struct HastyLines {
    [[nodiscard]] part::Cut cut(BytesView bytes, const part::CutHints&) noexcept {
        if (bytes.empty()) return part::Cut::more();
        const std::string_view text = as_text(bytes);
        const std::size_t end = text.find('\n');
        if (end == text.npos) return part::Cut::message(bytes.size(), bytes);
        return part::Cut::message(end + 1, bytes.first(end));
    }
    [[nodiscard]] bool put(BytesView message, Bytes& out) {
        out.insert(out.end(), message.begin(), message.end());
        out.push_back(std::byte{'\n'});
        return true;
    }
};

/// Checks that three lines arrive as they were sent.
template <class Framing>
bool carries_lines(sim::World& world) {
    auto& log = world.make<std::vector<std::unique_ptr<Notes>>>();
    auto& notes = world.make<Notes>();
    world.host("server",
               [&](sim::Host& h) { return std::make_unique<StreamServer<Framing>>(h, log); });
    sim::Host& client = world.host(
        "client", [&](sim::Host& h) { return std::make_unique<StreamClient<Framing>>(h, notes); });
    world.run_for(1s);
    const std::vector<std::string> lines{"one", "two", "a longer line of text"};
    for (const std::string& line : lines) {
        static_cast<void>(client.process<StreamClient<Framing>>()->link.send(to_bytes(line)));
        world.run_for(100ms);
    }
    return world.require("the lines arrive as they were sent", notes.messages() == lines);
}

}  // namespace

TEST_CASE("check::transport finds no fault in sim::Stream", "[sim][stream][unit]") {
    const auto broken = check::transport(
        [] { return std::make_unique<CheckedStreamRig>(); },
        [](std::uint64_t i) { return to_bytes(std::to_string(i) + std::string(100, 'm')); });
    INFO((broken ? to_string(*broken) : ""));
    CHECK_FALSE(broken.has_value());
}

TEST_CASE("A world with sim::Stream finds a framing that fails at a cut", "[sim][stream][sim]") {
    CHECK(sim::explore({.seeds = 200, .play = sim::Scenario{}}, carries_lines<Lines>));
    const sim::Report report = sim::explore({.seeds = 200, .play = sim::Scenario{}, .print = false},
                                            carries_lines<HastyLines>);
    REQUIRE(report.failing);
    CHECK(report.failing->property == "require \"the lines arrive as they were sent\"");
    CHECK(report.failing->smallest.empty());  // no fault is needed
    CHECK(report.seeds_run < 10);
}

TEST_CASE("sim::Stream carries messages of any size, in both directions", "[sim][stream][unit]") {
    StreamRig<LengthPrefixed> rig{Seed{3}};
    rig.connect();
    std::vector<std::string> sent;
    for (const std::size_t size : {0U, 1U, 100U, 1'000U, 20'000U, 100'000U, 300'000U}) {
        sent.emplace_back(size, static_cast<char>('a' + sent.size()));
        REQUIRE(rig.link().send(to_bytes(sent.back())) == SendResult::sent);
    }
    rig.world.run_for(10s);
    CHECK(rig.log.back()->messages() == sent);
    CHECK(rig.notes.messages() == sent);
    CHECK(rig.connected());
}

TEST_CASE("sim::Stream reports busy to a sender whose peer does not read, and then writable",
          "[sim][stream][unit]") {
    StreamRig<LengthPrefixed> rig{Seed{3}, {}, false};
    rig.connect();
    rig.world.pause(rig.server);
    int sent = 0;
    while (rig.link().send(Bytes(10'000)) == SendResult::sent) {
        ++sent;
        rig.world.run_for(10ms);
    }
    CHECK(sent > 100);  // 64 KiB of window, and 1 MiB of output that waits
    CHECK(sent < 120);
    rig.world.run_for(5s);
    CHECK(rig.notes.count("writable") == 0);
    CHECK(rig.log.back()->messages().empty());
    rig.world.resume(rig.server);
    rig.world.run_for(5s);
    CHECK(rig.notes.count("writable") == 1);
    CHECK(rig.log.back()->messages().size() == static_cast<std::size_t>(sent));
}

TEST_CASE("sim::Stream ends like a connection of posix::Tcp", "[sim][stream][unit]") {
    StreamRig<LengthPrefixed> rig{Seed{3}};
    SECTION("nothing listens, no such host") {
        rig.world.network().refuse(rig.server);
        rig.world.run_for(1s);
        CHECK(rig.notes.count("cooldown refused") > 1);
        rig.world.network().accept(rig.server);
        rig.connect();
        rig.world.network().unknown_name(rig.server);
        rig.world.network().drop_connections(rig.client, rig.server);
        const auto before = rig.notes.count("cooldown refused");
        rig.world.run_for(5s);
        CHECK(rig.notes.count("cooldown refused") > before);
    }
    SECTION("the look-up of its name hangs") {
        rig.connect();
        rig.world.network().hanging_name(rig.server);
        rig.world.network().drop_connections(rig.client, rig.server);
        rig.world.run_for(9s);
        CHECK(rig.notes.count("cooldown refused") == 0);
        rig.world.run_for(3s);
        CHECK(rig.notes.count("cooldown refused") == 1);
        rig.world.network().hanging_name(rig.server, false);
        rig.world.run_for(14s);
        rig.connect();
    }
    SECTION("the peer closes after its last message") {
        rig.connect();
        REQUIRE(rig.peer().send(to_bytes("last")) == SendResult::sent);
        rig.peer().stop();
        rig.world.run_for(50ms);
        CHECK(rig.notes.count("message last") == 1);
        CHECK(rig.notes.count("cooldown lost") == 1);
    }
    SECTION("the peer is killed") {
        rig.connect();
        rig.world.kill(rig.server);
        rig.world.run_for(50ms);
        CHECK(rig.notes.count("cooldown lost") == 1);
        rig.world.restart(rig.server);
        rig.world.run_for(10s);
        CHECK(rig.connected());
        CHECK(rig.log.size() == 2);
    }
    SECTION("the process is killed with events under way") {
        rig.connect();
        REQUIRE(rig.link().send(to_bytes("lost")) == SendResult::sent);
        rig.world.restart(rig.client);
        rig.world.run_for(10s);
        CHECK(rig.connected());
        CHECK(rig.log.front()->messages().empty());
    }
}

TEST_CASE("sim::Stream of a process without descriptors neither dials nor accepts",
          "[sim][stream][fault]") {
    StreamRig<LengthPrefixed> rig{Seed{3}};
    rig.server.exhaust_descriptors();
    rig.world.run_for(1s);
    // The kernel completes the connection, and the process does not accept it.
    REQUIRE(rig.connected());
    REQUIRE(rig.link().send(to_bytes("waits")) == SendResult::sent);
    rig.world.run_for(1s);
    CHECK(rig.log.empty());
    rig.server.exhaust_descriptors(false);
    rig.world.run_for(1s);
    REQUIRE(rig.log.size() == 1);
    CHECK(rig.log[0]->messages() == std::vector<std::string>{"waits"});
    rig.client.exhaust_descriptors();
    rig.world.network().drop_connections(rig.client, rig.server);
    rig.world.run_for(5s);
    CHECK(rig.notes.count("cooldown overloaded") > 1);
    CHECK(rig.log.size() == 1);
    rig.client.exhaust_descriptors(false);
    rig.world.run_for(5s);
    CHECK(rig.connected());
    CHECK(rig.log.size() == 2);
}

TEST_CASE("sim::Stream ends when its framing rejects the peer's bytes", "[sim][stream][unit]") {
    StreamRig<LengthPrefixed> rig{Seed{3}, {}, false, LengthPrefixed{.bytes_max = 10}};
    rig.connect();
    REQUIRE(rig.peer().send(Bytes(10)) == SendResult::sent);
    REQUIRE(rig.peer().send(Bytes(11)) == SendResult::sent);
    rig.world.run_for(50ms);
    CHECK(rig.notes.messages().size() == 1);
    CHECK(rig.notes.count("cooldown protocol") == 1);
}

TEST_CASE("sim::Stream delivers a prefix of the sent messages under all faults",
          "[sim][stream][property]") {
    const auto body = [](sim::World& world) {
        auto& log = world.make<std::vector<std::unique_ptr<Notes>>>();
        auto& notes = world.make<Notes>();
        world.host("server", [&](sim::Host& h) {
            return std::make_unique<StreamServer<LengthPrefixed>>(h, log);
        });
        sim::Host& client = world.host("client", [&](sim::Host& h) {
            return std::make_unique<StreamClient<LengthPrefixed>>(h, notes);
        });
        // Each number is sent once, so a connection delivers increasing numbers.
        world.always("in order, whole and once", [&] {
            for (const auto& one : log) {
                int last = 0;
                for (const std::string& text : one->messages()) {
                    const int number = std::stoi(text);
                    if (number <= last || text != std::string(40, '0') + std::to_string(number)) {
                        return text;
                    }
                    last = number;
                }
            }
            return std::string{};
        });
        int number = 0;
        for (int i = 0; i < 50; ++i) {
            if (auto* const process = client.process<StreamClient<LengthPrefixed>>()) {
                const std::string text = std::string(40, '0') + std::to_string(++number);
                static_cast<void>(process->link.send(to_bytes(text)));
            }
            world.run_for(100ms);
        }
        world.heal();
        return world.eventually("works again", 300s, [&] {
            auto* const process = client.process<StreamClient<LengthPrefixed>>();
            if (process == nullptr || log.empty()) return false;
            return process->link.status().state == LinkState::connected;
        });
    };
    CHECK(sim::explore({.seeds = 200, .scenario = {.within = 4s}}, body));
}

TEST_CASE("A request that is repeated does not renew the end of an accepted stream",
          "[sim][stream][regression]") {
    sim::World world{Seed{1}};
    std::vector<sim::AcceptedStream<>> accepted;  // not opened
    Notes notes;
    sim::Host& server = world.host("server", [&](sim::Host& h) {
        sim::listen_stream(h, 9000,
                           [&](sim::AcceptedStream<> a) { accepted.push_back(std::move(a)); });
        return std::make_unique<int>(0);
    });
    using Link = Supervisor<sim::Stream<>, MaxAttempts, NotesObserver>;
    sim::Host& client = world.host("client", [&](sim::Host& h) {
        auto link = std::make_unique<Link>(sim::Stream<>{h, "server", 9000}, MaxAttempts{1},
                                           SupervisorOptions{}, NotesObserver{&notes});
        h.attach(*link);
        link->start();
        return link;
    });
    world.network().partition_one_way(server, client);
    REQUIRE(world.run_until([&] { return accepted.size() == 1; }, 10s));
    world.network().half_open(server, client);
    world.network().heal_all();
    world.run_for(10s);
    CHECK(accepted.size() == 1);
    accepted.clear();
}

TEST_CASE("listen_stream needs a free port", "[sim][stream][unit]") {
    CHECK(aborts_with([] {
              sim::World world{Seed{1}};
              world.host("a", [](sim::Host& h) {
                  h.listen(1, [](sim::Accepted) {});
                  sim::listen_stream(h, 1, [](sim::AcceptedStream<>) {});
              });
          }).find("listen_stream: the port must be free") != std::string::npos);
}
