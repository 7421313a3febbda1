// SPDX-License-Identifier: MIT
/// \file tests/support/asio_sim/chat.hpp
/// Test cases of a chat that knows nothing of belay: over real sockets, and in worlds with faults.
#pragma once

#include <belay/sim/explore.hpp>

#include "support/asio_sim/plain_chat.hpp"
#include "support/asio_sim/rig.hpp"

namespace asio_sim_test {

inline constexpr int chat_lines = 20;

/// The processes of the two hosts.
struct ChatServerProcess {
    SimNet::io_context context;
    ChatServer<SimNet> server;
    ChatServerProcess(belay::sim::Host& host, ChatLog& log, ChatBug bug)
        : context{host}, server{context, 5555, log, bug} {}
};
struct ChatClientProcess {
    SimNet::io_context context;
    ChatClient<SimNet> client;
    ChatClientProcess(belay::sim::Host& host, ChatBug bug)
        : context{host},
          client{context, "server", 5555, std::string{host.name()}, chat_lines, bug} {}
};

/// Each line was published once, and those of a client in their order.
inline std::string wrong_in(const ChatLog& log) {
    std::map<std::string, int> next;
    for (const std::string& line : log.lines) {
        const std::string name = line.substr(0, line.find(' '));
        const std::string expected = name + " " + std::to_string(++next[name]);
        if (line != expected) return line + " instead of " + expected;
    }
    return {};
}

inline belay::sim::Report explore_chat(ChatBug bug, std::uint64_t seeds, bool prints) {
    return belay::sim::explore(
        {.seeds = seeds, .scenario = {.within = 20s}, .print = prints},
        [bug](belay::sim::World& world) {
            ChatLog& log = world.make<ChatLog>();
            world.host("server", [&log, bug](belay::sim::Host& h) {
                return std::make_unique<ChatServerProcess>(h, log, bug);
            });
            const auto client = [bug](belay::sim::Host& h) {
                return std::make_unique<ChatClientProcess>(h, bug);
            };
            belay::sim::Host& alice = world.host("alice", client);
            belay::sim::Host& bob = world.host("bob", client);
            world.run_for(20s);
            world.heal();
            const auto done = [](belay::sim::Host& h) {
                const auto* process = h.process<ChatClientProcess>();
                return process != nullptr && process->client.done();
            };
            return world.eventually("all is sent", 60s, [&] { return done(alice) && done(bob); }) &&
                   world.require("once and in order", wrong_in(log)) &&
                   world.require("all is published",
                                 log.lines.size() == std::size_t{2 * chat_lines});
        });
}

TEST_CASE("A chat runs over real sockets", "[asio_sim][net][unit]") {
    net::io_context context;
    ChatLog log;
    ChatServer<RealNet> server{context, 0, log, ChatBug::none};
    ChatClient<RealNet> a{context, "127.0.0.1", server.port(), "alice", 3, ChatBug::none};
    ChatClient<RealNet> b{context, "127.0.0.1", server.port(), "bob", 3, ChatBug::none};
    run_until(context, [&] { return a.done() && b.done(); });
    CHECK(wrong_in(log).empty());
    CHECK(log.lines.size() == 6);
}

TEST_CASE("A chat survives every fault of a world", "[asio_sim][net][sim]") {
    const belay::sim::Report report = explore_chat(ChatBug::none, 200, true);
    CHECK(report);
    CHECK(report.faults > 200);
}

TEST_CASE("An exploration finds the bugs of a chat", "[asio_sim][net][sim]") {
    const auto bug = GENERATE(ChatBug::forgets_unacknowledged, ChatBug::waits_for_ever,
                              ChatBug::publishes_twice);
    const belay::sim::Report report = explore_chat(bug, 500, false);
    REQUIRE_FALSE(report);
    REQUIRE(report.failing);
    INFO(report.text());
    CHECK(report.failing->smallest.size() <= 3);
    CHECK(report.failing->property != "the second run with the same seed had another history");
}

TEST_CASE("A chat has the same history for the same seed", "[asio_sim][net][sim]") {
    const auto history = [](std::uint64_t seed) {
        ChatLog log;
        belay::sim::World world{belay::Seed{seed}};
        belay::sim::Host& server = world.host("server", [&](belay::sim::Host& h) {
            return std::make_unique<ChatServerProcess>(h, log, ChatBug::none);
        });
        belay::sim::Host& alice = world.host("alice", [](belay::sim::Host& h) {
            return std::make_unique<ChatClientProcess>(h, ChatBug::none);
        });
        world.network().cut_one_in(10);
        world.at(100ms, [&] { world.restart(server); });
        world.at(1s, [&] { world.restart(alice); });
        world.run_for(1min);
        return world.trace_hash();
    };
    const std::uint64_t first = history(1);
    CHECK(history(1) == first);
    CHECK(history(2) != first);
}

}  // namespace asio_sim_test
