// SPDX-License-Identifier: MIT
// Goal: asio's own io_context, reactor and sockets, unmodified, run in a world. Method: the chat of
// the other tests over asio's real types, explored under faults; its histories repeat.
#include <belay/libc_sim/program.hpp>

#include <asio.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <belay/sim/explore.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"

namespace asio_sim_test {
namespace net = asio;
}

#if defined(ASIO_HAS_CO_AWAIT)  // with GCC
#    include "support/asio_sim/plain_chat.hpp"
#endif

namespace libc_sim_test {

using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

#if defined(ASIO_HAS_CO_AWAIT)

namespace {

using asio_sim_test::ChatBug;
using asio_sim_test::ChatClient;
using asio_sim_test::ChatLog;
using asio_sim_test::ChatServer;

constexpr int lines = 20;

/// The types of asio, with addresses instead of names, because asio resolves names in a thread.
struct Net {
    using io_context = asio::io_context;
    using steady_timer = asio::steady_timer;
    struct tcp : asio::ip::tcp {
        struct resolver {
            explicit resolver(io_context&) {}
            template <class Token>
            asio::awaitable<asio::ip::tcp::resolver::results_type> async_resolve(std::string host,
                                                                                 std::string port,
                                                                                 Token) {
                const endpoint at{asio::ip::make_address(host),
                                  static_cast<unsigned short>(std::stoi(port))};
                co_return asio::ip::tcp::resolver::results_type::create(at, host, port);
            }
        };
    };
};

/// The test's records of the clients. They outlive the clients.
struct Progress {
    ChatLog log;
    std::map<std::string, bool> done;
};

/// The main functions of the two programs.
void serve_chat(ChatLog& log, ChatBug bug) {
    asio::io_context context{1};
    const ChatServer<Net> server{context, 5555, log, bug};
    context.run();
}
void chat(const std::string& name, bool& done, ChatBug bug) {
    asio::io_context context{1};
    const ChatClient<Net> client{context, "10.0.0.1", 5555, name, lines, bug};
    context.run();
    done = client.done();
}

struct ChatWorld {
    World& world;
    Progress& progress;
    ChatBug bug;
    Host& server;
    Host& alice;
    Host& bob;

    ChatWorld(World& w, ChatBug b)
        : world{w},
          progress{w.make<Progress>()},
          bug{b},
          server{w.host("server",
                        [this_log = &progress.log, b](Host& h) {
                            return std::make_unique<Program>(
                                h, [this_log, b] { serve_chat(*this_log, b); });
                        })},
          alice{client("alice")},
          bob{client("bob")} {}
    Host& client(const char* name) {
        return world.host(name, [name, to = &progress, b = bug](Host& h) {
            return std::make_unique<Program>(h, [name, to, b] { chat(name, to->done[name], b); });
        });
    }
    [[nodiscard]] bool done() const { return progress.done["alice"] && progress.done["bob"]; }
    [[nodiscard]] std::string wrong() const {
        std::map<std::string, int> next;
        for (const std::string& line : progress.log.lines) {
            const std::string name = line.substr(0, line.find(' '));
            const std::string expected = name + " " + std::to_string(++next[name]);
            if (line != expected) return line + " instead of " + expected;
        }
        return {};
    }
};

belay::sim::Report explore_chat(ChatBug bug, std::uint64_t seeds, bool prints) {
    return belay::sim::explore(
        {.seeds = seeds, .scenario = {.within = 20s}, .print = prints}, [bug](World& world) {
            const ChatWorld chat{world, bug};
            world.run_for(20s);
            world.heal();
            return world.eventually("all is sent", 60s, [&] { return chat.done(); }) &&
                   world.require("once and in order", chat.wrong()) &&
                   world.require("all is published",
                                 chat.progress.log.lines.size() == std::size_t{2 * lines});
        });
}

}  // namespace

TEST_CASE("asio's own sockets survive every fault of a world", "[libc_sim][libc_sim][sim]") {
    const belay::sim::Report report = explore_chat(ChatBug::none, 100, true);
    CHECK(report);
    CHECK(report.faults > 100);
}

TEST_CASE("An exploration finds the bugs of code over asio's sockets",
          "[libc_sim][libc_sim][sim]") {
    const auto bug = GENERATE(ChatBug::forgets_unacknowledged, ChatBug::waits_for_ever,
                              ChatBug::publishes_twice);
    const belay::sim::Report report = explore_chat(bug, 500, false);
    REQUIRE_FALSE(report);
    REQUIRE(report.failing);
    INFO(report.text());
    CHECK(report.failing->smallest.size() <= 3);
    CHECK(report.failing->property != "the second run with the same seed had another history");
}

TEST_CASE("An hour of code over asio's sockets repeats", "[libc_sim][libc_sim][sim]") {
    const auto history = [](std::uint64_t seed) {
        World world{belay::Seed{seed}};
        const ChatWorld chat{world, ChatBug::none};
        world.network().cut_one_in(10);
        world.at(100ms, [&] { world.restart(chat.server); });
        world.at(2s, [&] { world.network().partition(chat.server, chat.alice); });
        for (int minute = 1; minute < 60; ++minute) {
            world.at(std::chrono::minutes{minute}, [&] {
                world.restart(chat.alice);
                world.network().heal_all();
            });
        }
        world.run_for(1h);
        CHECK(chat.progress.done["bob"]);
        return world.trace_hash();
    };
    const std::uint64_t first = history(1);
    CHECK(history(1) == first);
    CHECK(history(1) == first);
    CHECK(history(2) != first);
}

#endif

TEST_CASE("asio's resolver starts a thread, which a world rejects", "[libc_sim][libc_sim][sim]") {
    World world{belay::Seed{1}};
    world.host("host", [](Host& h) {
        return std::make_unique<Program>(h, [] {
            asio::io_context context{1};
            asio::ip::tcp::resolver resolver{context};
            resolver.async_resolve("host", "1", [](auto&&...) {});
            context.run();
        });
    });
    CHECK_THROWS_WITH(world.run_for(1s), Catch::Contains("called \"pthread_create\""));
}

}  // namespace libc_sim_test
