// SPDX-License-Identifier: MIT
// Goal: the outage demo's own client and server run unmodified in a world for an hour, and every
// line arrives once. Method: losses of power, partitions and frozen processes, in virtual time.
#include <belay/libc_sim/program.hpp>

#include <csignal>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include <belay/core/bytes.hpp>
#include <belay/sim/world.hpp>

#include "client.hpp"
#include "ledger.hpp"
#include "server.hpp"
#include "support/catch.hpp"

namespace libc_sim_test {

namespace {

using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

constexpr int lines = 3000;  // one in a second

/// The state that programs of one process share: std::cout, and the handlers of signals.
class SharedWithTest {
public:
    SharedWithTest() {
        sigaction(SIGTERM, nullptr, &term_);
        sigaction(SIGINT, nullptr, &interrupt_);
        std::cout.rdbuf(output_.rdbuf());
        std::cerr.rdbuf(output_.rdbuf());
    }
    ~SharedWithTest() {
        std::cout.rdbuf(cout_);
        std::cerr.rdbuf(cerr_);
        sigaction(SIGTERM, &term_, nullptr);
        sigaction(SIGINT, &interrupt_, nullptr);
    }
    SharedWithTest(const SharedWithTest&) = delete;
    SharedWithTest& operator=(const SharedWithTest&) = delete;
    [[nodiscard]] std::string output() const { return output_.str(); }

private:
    std::ostringstream output_;
    std::streambuf* cout_ = std::cout.rdbuf();
    std::streambuf* cerr_ = std::cerr.rdbuf();
    struct sigaction term_ {};
    struct sigaction interrupt_ {};
};

int serve() {
    outage::ServerOptions options;
    options.listen = {"10.0.0.1", 9000};
    options.dir = "/server";
    return outage::Server<outage::FileLedger>{options}.run();
}
int deliver() {
    outage::ClientOptions options;
    options.connect = {"10.0.0.1", 9000};
    options.file = "/input.txt";
    options.dir = "/client";
    options.rate = 1;
    return outage::Client{options}.run();
}

/// Returns the operations of the server's ledger, in the form of the input.
std::string delivered(Host& server) {
    std::istringstream ledger{
        std::string{belay::as_text(server.disk().contents("/server/ledger.txt"))}};
    std::string text;
    for (std::string line; std::getline(ledger, line);) {
        if (line[0] != '#') text += line.substr(line.find('\t') + 1) + "\n";
    }
    return text;
}

struct Outcome {
    std::uint64_t hash;
    std::optional<int> exit_code;
    std::string input;
    std::string delivered;
    std::string output;
};

Outcome run(std::uint64_t seed) {
    const SharedWithTest shared;
    std::string input;
    for (int i = 1; i <= lines; ++i) input += "line " + std::to_string(i) + "\n";
    World world{belay::Seed{seed}};
    Host& server =
        world.host("server", [](Host& h) { return std::make_unique<Program>(h, serve); });
    Host& client = world.host("client", [&](Host& h) {
        if (h.disk().contents("/input.txt").empty()) {
            h.disk().put("/input.txt", belay::to_bytes(input));
        }
        return std::make_unique<Program>(h, deliver);
    });
    for (int minute = 1; minute < 50; ++minute) {
        const auto ms = belay::uniform_upto(world.bits(), 60'000);
        const auto time = std::chrono::minutes{minute} + std::chrono::milliseconds{ms};
        Host& host = minute % 3 == 0 ? client : server;
        switch (minute % 5) {
            case 0:
                world.at(time, [&] { world.network().partition(server, client); });
                world.at(time + 20s, [&] { world.network().heal_all(); });
                break;
            case 1:
                world.at(time, [&] { world.pause(host); });
                world.at(time + 5s, [&] { world.resume(host); });
                break;
            case 2:
                world.at(time, [&] { world.kill(host); });
                world.at(time + 10s, [&] { world.restart(host); });
                break;
            default:
                world.at(time, [&] { world.restart(host); });
        }
    }
    world.run_for(1h);
    return {world.trace_hash(), client.process<Program>()->exit_code(), input, delivered(server),
            shared.output()};
}

}  // namespace

TEST_CASE("The outage demo runs an hour in a world, and delivers each line once",
          "[libc_sim][libc_sim][sim]") {
    const Outcome first = run(1);
    INFO(first.output);
    CHECK(first.exit_code == outage::exit_ok);
    CHECK(first.delivered == first.input);
    for (int i = 0; i < 2; ++i) CHECK(run(1).hash == first.hash);
    const Outcome other = run(2);
    CHECK(other.hash != first.hash);
    CHECK(other.delivered == other.input);
}

}  // namespace libc_sim_test
