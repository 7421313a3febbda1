// SPDX-License-Identifier: MIT
// Goal: what a process has belongs to a simulated program, and depends on the seed of its world.
// Method: programs that read and change it, in two worlds of a seed and next to each other.
#include <belay/libc_sim/program.hpp>

#include <fcntl.h>
#include <getopt.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <belay/sim/world.hpp>

#include "support/catch.hpp"

namespace libc_state_test {

namespace {

using belay::Seed;
using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

using Main = std::function<void()>;

Host& run(World& world, const char* name, Main main) {
    return world.host(
        name, [main = std::move(main)](Host& h) { return std::make_unique<Program>(h, main); });
}

}  // namespace

TEST_CASE("Scenario::start_clocks starts the clocks of programs", "[libc_sim][state][unit]") {
    World world{Seed{1}, {.play = belay::sim::Scenario{}.start_clocks(2147483641s, 4294960s)}};
    timespec wall{}, uptime{}, boot{};
    run(world, "a", [&] {
        usleep(7'000'000);
        clock_gettime(CLOCK_REALTIME, &wall);
        clock_gettime(CLOCK_MONOTONIC, &uptime);
        clock_gettime(CLOCK_BOOTTIME, &boot);
    });
    world.run_for(8s);
    CHECK(wall.tv_sec == std::int64_t{1} << 31);
    CHECK(uptime.tv_sec == 4294967);
    CHECK(boot.tv_sec == 4294967);
}

TEST_CASE("A program has random numbers of its own, the same ones at each start",
          "[libc_sim][state][unit]") {
    // Those of the C library, outside of a world.
    std::vector<long> expected;
    srand(1);
    for (int i = 0; i < 8; ++i) expected.push_back(i % 2 == 0 ? rand() : random());
    srand48(7);
    const double expected_double = drand48();
    const long expected_long = lrand48();
    srand(5);
    const int after_seed_5 = rand();
    srand(5);

    World world{Seed{1}};
    std::vector<std::vector<long>> seen;
    std::vector<double> doubles;
    std::vector<long> longs;
    for (const char* const name : {"a", "b"}) {
        run(world, name, [&] {
            const std::size_t mine = seen.size();
            seen.emplace_back();
            srand48(7);
            for (int i = 0; i < 8; ++i) {
                seen[mine].push_back(i % 2 == 0 ? rand() : random());
                usleep(1000);  // the other program draws, too
            }
            doubles.push_back(drand48());
            unsigned short x[3] = {1, 2, 3};
            static_cast<void>(erand48(x));
            static_cast<void>(nrand48(x) + jrand48(x) + mrand48());
            srand48(7);
            static_cast<void>(drand48());
            longs.push_back(lrand48());
        });
    }
    world.run_for(1s);
    world.restart(*world.find("a"));
    world.run_for(1s);
    REQUIRE(seen.size() == 3);
    for (const auto& numbers : seen) CHECK(numbers == expected);
    CHECK(doubles == std::vector<double>(3, expected_double));
    CHECK(longs == std::vector<long>(3, expected_long));
    CHECK(rand() == after_seed_5);  // the test has its own
}

TEST_CASE("initstate and setstate of a program exchange its numbers", "[libc_sim][state][unit]") {
    World world{Seed{1}};
    int first = 0, other = 0, second = 0, expected = 0;
    run(world, "a", [&] {
        srand(9);
        static_cast<void>(rand());
        expected = rand();
        srand(9);
        first = rand();
        char state[128];
        char* const before = initstate(3, state, sizeof state);
        other = rand();
        CHECK(setstate(before) == state);
        second = rand();
    });
    world.run_for(1s);
    CHECK(second == expected);
    CHECK(other != first);
}

TEST_CASE("A program's number and its seeds are those of its world",
          "[libc_sim][state][regression]") {
    const auto numbers = [](std::uint64_t seed) {
        std::vector<int> out;
        World world{Seed{seed}};
        for (const char* const name : {"a", "b"}) {
            run(world, name, [&out] {
                srand(static_cast<unsigned>(time(nullptr)) ^ static_cast<unsigned>(getpid()));
                out.insert(out.end(), {rand(), getpid(), gettid(), getpgrp()});
                CHECK(getppid() == 1);
                CHECK(getpgid(0) == getpid());
                CHECK(getsid(getpid()) == getpid());
                CHECK((getpgid(1) == -1 && errno == ESRCH));
            });
        }
        world.run_for(1s);
        world.restart(*world.find("a"));
        world.run_for(1s);
        return out;
    };
    const std::vector<int> one = numbers(1);
    REQUIRE(one.size() == 12);
    CHECK(one == numbers(1));
    CHECK(one[0] != numbers(2)[0]);
    for (std::size_t i = 0; i < 12; i += 4) {
        CHECK(one[i + 1] > 1);
        CHECK(one[i + 2] == one[i + 1]);
        CHECK(one[i + 3] == one[i + 1]);
        CHECK(one[i + 1] != one[(i + 5) % 12]);
    }
}

TEST_CASE("A program has a copy of the test's environment", "[libc_sim][state][unit]") {
    setenv("BELAY_STATE_TEST", "of the test", 1);
    World world{Seed{1}};
    std::vector<std::string> seen;
    const auto look = [&seen] {
        const char* const value = getenv("BELAY_STATE_TEST");
        seen.emplace_back(value != nullptr ? value : "nothing");
    };
    run(world, "a", [&] {
        look();
        setenv("BELAY_STATE_TEST", "of a", 1);
        usleep(2000);
        look();
        setenv("BELAY_STATE_TEST", "of a again", 1);
        usleep(2000);
        look();
    });
    run(world, "b", [&] {
        usleep(1000);
        look();
        unsetenv("BELAY_STATE_TEST");
        usleep(2000);
        look();
        clearenv();
    });
    world.run_for(1s);
    CHECK(seen ==
          std::vector<std::string>{"of the test", "of the test", "of a", "nothing", "of a again"});
    CHECK(getenv("BELAY_STATE_TEST") == std::string{"of the test"});
    seen.clear();
    world.restart(*world.find("a"));
    world.run_for(1ms);
    CHECK(seen == std::vector<std::string>{"of the test"});
    unsetenv("BELAY_STATE_TEST");
}

TEST_CASE("A program's mask and limits are its own", "[libc_sim][state][unit]") {
    const mode_t mask_of_test = umask(022);
    umask(mask_of_test);
    rlimit of_test{};
    getrlimit(RLIMIT_NOFILE, &of_test);
    World world{Seed{1}};
    int opened = 0;
    run(world, "a", [&] {
        CHECK(umask(077) == 022);
        CHECK(umask(0) == 077);
        rlimit limit{};
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK(limit.rlim_cur == 1024);
        CHECK(limit.rlim_max == 1024);
        limit.rlim_max = limit.rlim_cur = 2000;
        CHECK((setrlimit(RLIMIT_NOFILE, &limit) == -1 && errno == EPERM));
        limit = {7, 5};
        CHECK((setrlimit(RLIMIT_NOFILE, &limit) == -1 && errno == EINVAL));
        limit = {5, 100};
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK(prlimit(getpid(), RLIMIT_NOFILE, nullptr, &limit) == 0);
        CHECK(limit.rlim_max == 100);
        while (open("/dev/urandom", O_RDONLY) >= 0) ++opened;
        CHECK(errno == EMFILE);
        limit = {RLIM_INFINITY, RLIM_INFINITY};
        CHECK(setrlimit(RLIMIT_CORE, &limit) == 0);
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);  // it has no other
    });
    world.run_for(1s);
    CHECK(opened == 2);  // and the three standard streams
    CHECK(umask(mask_of_test) == mask_of_test);
    rlimit now{};
    getrlimit(RLIMIT_NOFILE, &now);
    CHECK(now.rlim_cur == of_test.rlim_cur);
    CHECK(now.rlim_max == of_test.rlim_max);
    world.kill(*world.find("a"));
    run(world, "b", [] {
        const rlimit small{1 << 20, 1 << 20};
        setrlimit(RLIMIT_AS, &small);
    });
    CHECK_THROWS_AS(world.run_for(1s), std::logic_error);
}

TEST_CASE("Each start of a program reads its options from the beginning",
          "[libc_sim][state][unit]") {
    World world{Seed{1}};
    std::string seen;
    const auto main = [&] {
        std::string words[] = {"program", "-a", "-b", "7"};
        char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(),
                             nullptr};
        for (int option = 0; (option = getopt(4, arguments, "ab:")) != -1;) {
            seen += static_cast<char>(option);
            if (option == 'b') seen += optarg;
            usleep(1000);
        }
    };
    const int of_test = optind;
    run(world, "a", main);
    world.run_for(1s);
    world.restart(*world.find("a"));
    world.run_for(1s);
    CHECK(seen == "ab7ab7");
    CHECK(optind == of_test);
}

}  // namespace libc_state_test
