// SPDX-License-Identifier: MIT
// Goal: a world answers as Linux does. Method: probes that run in a world, and on the system of the
// test with BELAY_RECORD_PROBES; what Linux has answered is in probes/linux.txt, and what
// differs in probes/differences.txt, from which scripts/probe_table.py makes the page's table. Signals and short
// reads, which no probe can cause.
#include <belay/libc_sim/program.hpp>

#include <sys/utsname.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include <belay/sim/explore.hpp>
#include <belay/sim/world.hpp>

#include "libc_sim/probes/probes.hpp"
#include "support/catch.hpp"

namespace libc_as_on_linux_test {

namespace {

using belay::Seed;
using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

const std::string answers_file = BELAY_PAGES "/../tests/libc_sim/probes/linux.txt";
const std::string differences_file = BELAY_PAGES "/../tests/libc_sim/probes/differences.txt";

std::vector<Probe> all_probes() {
    std::vector<Probe> all = probes_of_sockets();
    for (const auto& more : {more_probes_of_sockets(), probes_of_descriptors(), probes_of_files(),
                             more_probes_of_files(), probes_of_directories()}) {
        all.insert(all.end(), more.begin(), more.end());
    }
    return all;
}
/// Runs a probe on the system, in a new directory.
std::string on_linux(const Run& probe) {
    const auto before = std::filesystem::current_path();
    std::string name = (std::filesystem::temp_directory_path() / "belay-probe-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) return "no directory";
    std::filesystem::current_path(name);
    std::string result = probe();
    std::filesystem::current_path(before);
    std::filesystem::remove_all(name);
    return result;
}
std::string in_world(const Run& probe) {
    World world{Seed{1}};
    std::string result;
    world.host("a",
               [&](Host& h) { return std::make_unique<Program>(h, [&] { result = probe(); }); });
    try {
        world.run_for(1h);
    } catch (const std::logic_error& refused) {
        return "refused";
    }
    return result;
}
/// Returns the answers of Linux, by the names of the probes.
std::map<std::string, std::string> recorded() {
    std::map<std::string, std::string> answers;
    std::ifstream file{answers_file};
    for (std::string line; std::getline(file, line);) {
        const std::size_t end = line.find(": ");
        if (line[0] != '#' && end != line.npos) answers[line.substr(0, end)] = line.substr(end + 2);
    }
    return answers;
}
/// Waits for ever.
void pause_for_ever() {
    for (;;) poll(nullptr, 0, -1);
}
std::string without_end(std::string answer) {
    while (!answer.empty() && answer.back() == ' ') answer.pop_back();
    return answer;
}

/// Returns the rows of the page's table: the probes whose answers differ, with a reason.
std::string differences() {
    const auto answers = recorded();
    std::string rows;
    for (const Probe& p : all_probes()) {
        CAPTURE(p.name);
        REQUIRE(answers.count(p.name) == 1);
        const std::string& on_it = answers.at(p.name);
        const std::string world = without_end(in_world(p.run));
        const std::string reason = p.reason;
        CAPTURE(reason);
        if (reason.empty()) CHECK(world == on_it);
        if (!reason.empty()) CHECK(world != on_it);
        if (world == on_it) continue;
        rows += std::string{"| "} + p.name + " | `" + on_it + "` | `" + world + "` | " + reason +
                " |\n";
    }
    return rows;
}

}  // namespace

TEST_CASE("The answers of Linux are recorded, if asked for", "[libc_sim][linux]") {
    if (std::getenv("BELAY_RECORD_PROBES") == nullptr) return;
    utsname system{};
    REQUIRE(uname(&system) == 0);
    std::ofstream file{answers_file};
    const std::string release = system.release;
    file << "# The answers of Linux " << release.substr(0, release.find('-'))
         << " to the probes of probes.hpp\n";
    for (const Probe& p : all_probes()) {
        file << p.name << ": " << without_end(on_linux(p.run)) << '\n';
    }
    CHECK(file.flush());
    const std::string rows = differences();
    CHECK(std::ofstream{differences_file} << rows);
}

TEST_CASE("A world answers as Linux does, except where the page states it",
          "[libc_sim][linux][golden]") {
    std::ifstream file{differences_file};
    CHECK(differences() == std::string{std::istreambuf_iterator<char>{file}, {}});
}

TEST_CASE("A signal interrupts the call in which a program waits", "[libc_sim][signals][sim]") {
    const auto in_world = [](const Run& probe) {
        World world{Seed{1}};
        std::string result;
        Host& host = world.host(
            "a", [&](Host& h) { return std::make_unique<Program>(h, [&] { result = probe(); }); });
        world.play(belay::sim::Scenario{}.at(1s, belay::sim::interrupt(host.name())));
        world.run_for(1h);
        return result;
    };
    const auto waits = [](auto call) {
        return [call]() -> std::string {
            Pair p;
            p.open();
            const int before = static_cast<int>(time(nullptr) % 1000);
            const std::string answer = text(call(p));
            return answer + text(time(nullptr) % 1000 - before);
        };
    };
    CHECK(in_world(waits([](Pair& p) { return recv(p.client, &p, 1, 0); })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) { return accept(p.listener, nullptr, nullptr); })) ==
          "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) {
              pollfd entry{p.client, POLLIN, 0};
              return poll(&entry, 1, -1);
          })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) {
              fd_set reads;
              FD_ZERO(&reads);
              FD_SET(p.client, &reads);
              return select(p.client + 1, &reads, nullptr, nullptr, nullptr);
          })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair&) { return sleep(10); })) == "9 1 ");
    CHECK(in_world(waits([](Pair&) { return usleep(10'000'000); })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) {
              const std::string all(1'000'000, 'x');
              const ssize_t sent = send(p.client, all.data(), all.size(), MSG_NOSIGNAL);
              return sent > 0 && sent < 1'000'000 ? 7L : sent;
          })) == "7 1 ");
    CHECK(in_world(waits([](Pair&) {
              const std::string all(100'000, 'x');
              int ends[2];
              return pipe(ends) == 0 ? write(ends[1], all.data(), all.size()) : -1;
          })) == "65536 1 ");
    CHECK(in_world(waits([](Pair&) {
              const std::string all(1'000'000, 'x');
              int pair[2];
              const bool made = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
              const ssize_t sent = made ? send(pair[0], all.data(), all.size(), 0) : -1;
              return sent > 200'000 && sent < 1'000'000 ? 7L : sent;
          })) == "7 1 ");
    // A sync of a file is not interrupted, and a signal that interrupts nothing is forgotten.
    CHECK(in_world([] {
              make_file("f", "x");
              const int fd = open("f", O_RDWR);
              int synced = 0;
              while (time(nullptr) % 1000 < 603 && fsync(fd) == 0) ++synced;
              return (synced > 200 ? "synced " : "failed ") + text(usleep(1000));
          }) == "synced 0 ");
}

TEST_CASE("An exploration with interrupts finds a program that ends at EINTR",
          "[libc_sim][signals][explore]") {
    const auto explored = [](bool repeats) {
        return belay::sim::explore(
            {.seeds = 200, .scenario = {.interrupts = 3, .within = 3s}, .print = false},
            [&](World& world) {
                int& steps = world.make<int>();
                world.host("a", [&](Host& h) {
                    return std::make_unique<Program>(h, [&] {
                        const timespec time{.tv_sec = 0, .tv_nsec = 10'000'000};
                        for (steps = 0; steps < 300; ++steps) {
                            while (nanosleep(&time, nullptr) != 0) {
                                if (!repeats || errno != EINTR) pause_for_ever();
                            }
                        }
                    });
                });
                world.run_for(3s);
                world.heal();
                return world.eventually("all steps are done", 60s, [&] { return steps == 300; });
            });
    };
    const belay::sim::Report report = explored(false);
    REQUIRE(report.failing);
    CHECK(report.failing->smallest.size() == 1);
    CHECK(explored(true));
}

TEST_CASE("Reads of files return less than they could for a time", "[libc_sim][files][sim]") {
    World world{Seed{1}};
    std::string result;
    Host& host = world.host("a", [&](Host& h) {
        return std::make_unique<Program>(h, [&] {
            make_file("f", "0123456789");
            usleep(1000);  // the fault begins
            for (int i = 0; i < 2; ++i, sleep(2)) {
                char bytes[11]{};
                const int fd = open("f", O_RDONLY);
                int reads = 0;
                for (ssize_t n = 1, at = 0; n > 0; at += n, ++reads) {
                    n = read(fd, bytes + at, static_cast<std::size_t>(10 - at));
                }
                close(fd);
                result += bytes + std::string{reads > 2 ? " short " : " whole "};
            }
        });
    });
    world.play(belay::sim::Scenario{}.during(0s, 1s, belay::sim::shorten_reads(host.name())));
    world.run_for(1min);
    CHECK(result == "0123456789 short 0123456789 whole ");
}

}  // namespace libc_as_on_linux_test
