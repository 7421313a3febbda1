// SPDX-License-Identifier: MIT
// Goal: a program that ends itself, fails or leaves its world never ends the test, and never passes
// unnoticed. Method: programs that do so in each way that the C library has.
#include <belay/libc_sim/program.hpp>

#include <argp.h>
#include <arpa/inet.h>
#include <err.h>
#include <error.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>
#include <wordexp.h>

#include <cstdarg>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <belay/sim/explore.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"

// <assert.h> declares it only where NDEBUG is not defined; programs of a C library call it anyway.
extern "C" void __assert_fail(const char* expression, const char* file, unsigned int line,
                              const char* function) noexcept;

namespace libc_ends_test {

namespace {

using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

using Main = std::function<void()>;

Host& run(World& world, const char* name, Main main) {
    return world.host(
        name, [main = std::move(main)](Host& h) { return std::make_unique<Program>(h, main); });
}
/// Returns the sentence with which a world rejects a program; empty if it does not.
std::string refusal(Main main) {
    World world{belay::Seed{1}};
    run(world, "host", std::move(main));
    try {
        world.run_for(1min);
    } catch (const std::logic_error& e) {
        return e.what();
    }
    return {};
}
std::optional<int> exit_code(Main main) {
    World world{belay::Seed{1}};
    Host& host = run(world, "host", std::move(main));
    world.run_for(1min);
    CHECK(world.exits() == (host.exit_code() ? 1U : 0U));
    CHECK(host.alive() == !host.exit_code());
    CHECK(host.process<Program>()->exit_code() == host.exit_code());
    return host.exit_code();
}
void fail_verr(int code, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    verr(code, format, arguments);
}
void fail_verrx(int code, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    verrx(code, format, arguments);
}

}  // namespace

TEST_CASE("A program that ends itself in any way takes its host down with its code",
          "[libc_sim][program][sim]") {
    const std::vector<std::pair<const char*, Main>> ways{
        {"exit", [] { std::exit(3); }},
        {"_exit", [] { _exit(3); }},
        {"_Exit", [] { _Exit(3); }},
        {"quick_exit", [] { quick_exit(3); }},
        {"err", [] { err(3, "bind of %d", 7); }},
        {"errx", [] { errx(3, "bind of %d", 7); }},
        {"verr", [] { fail_verr(3, "bind of %d", 7); }},
        {"verrx", [] { fail_verrx(3, "bind of %d", 7); }},
        {"error", [] { error(3, EINVAL, "bind of %s", "host"); }},
        {"error_at_line", [] { error_at_line(3, 0, "file", 7, "bind"); }},
        {"exit in a function of atexit",
         [] {
             atexit([] { _exit(3); });
             std::exit(4);
         }},
    };
    for (const auto& [name, end] : ways) {
        INFO(name);
        CHECK(exit_code([end = end] {
                  sleep(1);
                  end();
              }) == 3);
    }
    CHECK(exit_code([] { errx(0, "usage"); }) == 0);
    CHECK(exit_code([] {}) == 0);
    CHECK_FALSE(exit_code([] { sleep(3600); }));
    // Without a code, it is a message.
    CHECK(exit_code([] {
              error(0, 0, "warning");
              _exit(4);
          }) == 4);
    // A parser of arguments ends its program.
    CHECK(exit_code([] {
              static char name[] = "name", wrong[] = "--no-such-option";
              static char* arguments[] = {name, wrong, nullptr};
              const argp options{};
              argp_parse(&options, 2, arguments, 0, nullptr, nullptr);
          }) == EX_USAGE);
}

TEST_CASE("The history shows that a program has ended itself, and a property forbids it",
          "[libc_sim][program][sim]") {
    World world{belay::Seed{1}, {.record_lines = 20}};
    Host& host = run(world, "server", [] {
        sleep(1);
        exit(7);
    });
    world.never("a process ends", [&] { return world.exits() != 0; });
    world.run_for(5s);
    REQUIRE(world.violation());
    CHECK(world.violation()->property == "never \"a process ends\"");
    CHECK(world.text().find("1.000 s  server ends itself with code 7") != std::string::npos);
    CHECK(world.json_lines().find("\"kind\":\"exit\",\"host\":\"server\"") != std::string::npos);
    CHECK(host.starts() == 1);
}

TEST_CASE("A host whose program has ended itself starts again only by a restart",
          "[libc_sim][program][sim]") {
    World world{belay::Seed{1}};
    Host& host = run(world, "server", [] {
        sleep(1);
        exit(7);
    });
    world.run_for(2s);
    CHECK_FALSE(host.alive());
    world.heal();
    world.run_for(2s);
    CHECK(host.starts() == 1);
    CHECK(host.exit_code() == 7);
    world.restart(host);
    CHECK(host.alive());
    CHECK_FALSE(host.exit_code());
    world.kill(host);
    CHECK_FALSE(host.alive());
    CHECK_FALSE(host.exit_code());
    CHECK(world.exits() == 1);
}

TEST_CASE("A kill of a host whose program has ended itself does not start it again",
          "[libc_sim][program][regression]") {
    for (const bool heals : {false, true}) {
        World world{belay::Seed{1}};
        Host& host = run(world, "server", [] {
            sleep(1);
            exit(7);
        });
        world.play(belay::sim::Scenario{}.during(3s, 3100ms, belay::sim::kill("server")));
        world.run_for(3050ms);
        if (heals) world.heal();
        world.run_for(2s);
        CHECK(host.starts() == 1);
        CHECK(host.exit_code() == 7);
        world.restart(host);
        CHECK(host.starts() == 2);
    }
}

TEST_CASE("A program that has ended itself finds all that it wrote after a restart",
          "[libc_sim][program][regression]") {
    int lost = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        World world{belay::Seed{seed}};
        Host& host = run(world, "host", [] {
            const int fd = open("/file", O_WRONLY | O_CREAT | O_APPEND, 0600);
            CHECK(write(fd, "written", 7) == 7);
        });
        world.run_for(1s);
        world.restart(host);
        world.run_for(1s);
        CHECK(host.disk().contents("file").size() == 14);
        world.kill(host);  // the power fails
        lost += host.disk().contents("file").size() == 14 ? 0 : 1;
    }
    CHECK(lost > 0);
}

TEST_CASE("The functions of atexit run at the end of their program, in its world",
          "[libc_sim][program][sim]") {
    for (const bool returns : {true, false}) {
        World world{belay::Seed{1}};
        Host& host = run(world, "host", [returns] {
            atexit([] { close(creat("/first", 0600)); });
            atexit([] {
                CHECK(access("/first", F_OK) != 0);
                close(creat("/second", 0600));
            });
            if (!returns) exit(0);
        });
        Host& other = run(world, "other", [] {
            atexit([] { close(creat("/never", 0600)); });
            _exit(0);
        });
        world.run_for(1s);
        CHECK(host.disk().size("first").has_value());
        CHECK(host.disk().size("second").has_value());
        CHECK_FALSE(other.disk().size("never").has_value());
    }
}

TEST_CASE("A daemon goes on in its world, and the test goes on, too", "[libc_sim][program][sim]") {
    const pid_t test = getpid();
    CHECK(exit_code([] {
              if (daemon(1, 1) != 0) _exit(1);
              sleep(1);
              _exit(5);
          }) == 5);
    CHECK(getpid() == test);
}

TEST_CASE("A program that fails is rejected with the reason", "[libc_sim][program][sim]") {
    const std::string who = "sim::Program on \"host\" ";
    CHECK(refusal([] { std::abort(); }).find(who + "called \"abort\"") == 0);
    CHECK(refusal([] { std::terminate(); }).find(who + "called \"abort\"") == 0);
    CHECK(refusal([]() noexcept {
              static_cast<void>(std::stoi("x"));
          }).find(who + "called \"abort\"") == 0);
    CHECK(refusal([] { __assert_fail("x == 1", "file.c", 12, "f"); }) ==
          who + "failed the assertion \"x == 1\" (file.c:12)");
    CHECK(refusal([] { raise(SIGTERM); }).find(who + "raised the signal 15 (Terminated)") == 0);
    CHECK(refusal([] { raise(SIGPIPE); }).find(who + "was ended by SIGPIPE") == 0);
    CHECK(exit_code([] {
              signal(SIGPIPE, [](int) { _exit(9); });
              raise(SIGPIPE);
          }) == 9);
}

TEST_CASE("A program that starts a process, sets a timer or leaves the machine is rejected",
          "[libc_sim][program][sim]") {
    struct Call {
        const char* name;
        Main call;
    };
    const std::vector<Call> calls{
        {"clone",
         [] {
             static char stack[65536];
             clone([](void*) { return 0; }, stack + sizeof stack, SIGCHLD, nullptr);
         }},
        {"forkpty",
         [] {
             int terminal = 0;
             if (forkpty(&terminal, nullptr, nullptr, nullptr) == 0) _exit(0);
         }},
        {"wordexp",
         [] {
             wordexp_t words;
             static_cast<void>(wordexp("$(id -u)", &words, 0));
         }},
        {"ualarm", [] { ualarm(1000, 0); }},
        {"setitimer",
         [] {
             const itimerval soon{{}, {0, 1000}};
             setitimer(ITIMER_REAL, &soon, nullptr);
         }},
        {"gethostbyname_r",
         [] {
             hostent entry, *found = nullptr;
             char buffer[1024];
             int error = 0;
             gethostbyname_r("localhost", &entry, buffer, sizeof buffer, &found, &error);
         }},
        {"gethostbyaddr",
         [] {
             const in_addr at{htonl(INADDR_LOOPBACK)};
             static_cast<void>(gethostbyaddr(&at, sizeof at, AF_INET));
         }},
        {"kill", [] { kill(getpid(), SIGTERM); }},
        {"on_exit", [] { on_exit([](int, void*) {}, nullptr); }},
        {"sync", [] { sync(); }},
        {"setsid", [] { setsid(); }},
        {"setuid", [] { static_cast<void>(setuid(getuid())); }},
        {"chroot", [] { static_cast<void>(chroot("/nothing")); }},
        {"shmget", [] { shmget(IPC_PRIVATE, 4096, 0600); }},
        {"fcloseall", [] { fcloseall(); }},
    };
    for (const Call& it : calls) {
        CHECK(refusal(it.call) == "sim::Program on \"host\" called \"" + std::string{it.name} +
                                      "\", which a world does not have");
    }
    CHECK(
        refusal([] { pthread_exit(nullptr); }) ==
        "sim::Program on \"host\" called \"pthread_exit\", which a world does not have: a program "
        "has one thread");
    const auto name_of = [](int flags) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        char name[64] = "";
        CHECK(getnameinfo(reinterpret_cast<const sockaddr*>(&at), sizeof at, name, sizeof name,
                          nullptr, 0, flags) == 0);
        CHECK(std::string{name} == "127.0.0.1");
    };
    CHECK(refusal([&] { name_of(0); }).find("\"getnameinfo\" without NI_NUMERICHOST") !=
          std::string::npos);
    CHECK(refusal([&] { name_of(NI_NUMERICHOST); }).empty());
    CHECK(refusal([] {
              openlog("name", LOG_NDELAY, LOG_DAEMON);
              syslog(LOG_ERR, "the log of the system is the test's stderr: %d", 7);
              closelog();
          }).empty());
}

TEST_CASE("An exploration finds an assertion of a program, with its seed and a small scenario",
          "[libc_sim][program][sim]") {
    const belay::sim::ExploreOptions options{
        .seeds = 200, .scenario = {.within = 3s}, .print = false, .environment = false};
    const belay::sim::Report report = belay::sim::explore(options, [](World& world) {
        Host& host = run(world, "host", [] { sleep(10); });
        run(world, "other", [&host] {
            for (int i = 0; i < 30; ++i) {
                usleep(100'000);
                if (host.starts() > 1) __assert_fail("is_fresh", "file.c", 1, "main");
            }
        });
        world.run_for(5s);
        return true;
    });
    REQUIRE(report.failing);
    CHECK(report.failing->property.find("failed the assertion \"is_fresh\"") != std::string::npos);
    CHECK(report.failing->smallest.size() == 1);
}

}  // namespace libc_ends_test
