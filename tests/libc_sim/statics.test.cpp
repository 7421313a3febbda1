// SPDX-License-Identifier: MIT
// Goal: a program of a file has fresh static variables at each start, and apart for each host.
// Method: a program with each kind of static variable, linked with the test's own of the same names.
#include <belay/libc_sim/program.hpp>

#include <memory>
#include <stdexcept>
#include <string>

#include <belay/sim/world.hpp>

#include "programs/statics.hpp"
#include "support/catch.hpp"

int of_the_test = 700;

namespace libc_statics_test {

namespace {

using belay::Seed;
using belay::sim::Host;
using belay::sim::Program;
using belay::sim::ProgramFile;
using belay::sim::World;
using namespace std::chrono_literals;

const ProgramFile& program() {
    static const ProgramFile file{BELAY_STATICS_PROGRAM};
    return file;
}
Host& run(World& world, const char* name, const char* argument) {
    return world.host(name, [argument](Host& h) {
        return std::make_unique<Program>(h, program().main({"statics", argument}));
    });
}
std::string text(Host& host, const char* path) {
    return std::string{belay::as_text(host.disk().contents(path))};
}
/// Returns what a process finds that has just begun.
std::string fresh(const char* argument) {
    return std::string{"1 41 1 1 2 1 1 1 222 1 "} + argument + "\n";
}

}  // namespace

TEST_CASE("A ProgramFile has fresh static variables at each start and on each host",
          "[libc_sim][statics][unit]") {
    // The test has the same inline variables.
    statics::inline_variable = 500;
    statics::Template<int>::count = 600;
    World world{Seed{1}};
    Host& a = run(world, "a", "stays");
    Host& b = run(world, "b", "stays");
    world.run_for(1s);
    CHECK(text(a, "found") == fresh("stays"));
    CHECK(text(b, "found") == fresh("stays"));
    a.disk().put("found", {});
    for (int i = 0; i < 3; ++i) world.restart(a), world.run_for(1s);
    const std::string last = text(a, "found");
    CHECK(last.find(fresh("stays")) != std::string::npos);
    CHECK(last.find_first_not_of(fresh("stays")) == std::string::npos);
    CHECK(statics::inline_variable == 500);
    CHECK(statics::Template<int>::count == 600);
    CHECK(of_the_test == 700);
}

TEST_CASE("A ProgramFile runs constructors and destructors of static variables in its program",
          "[libc_sim][statics][unit]") {
    const std::string made = "makes global\nmakes local\n";
    for (const std::string how : {"returns", "exits", "stays"}) {
        World world{Seed{1}};
        Host& host = run(world, "a", how.c_str());
        world.run_for(1s);
        INFO(how);
        CHECK(text(host, "notes") == (how == "stays" ? made : made + "ends local\nends global\n"));
        CHECK(host.exit_code() == (how == "returns" ? std::optional{0}
                                   : how == "exits" ? std::optional{3}
                                                    : std::nullopt));
    }
}

TEST_CASE("A ProgramFile may throw an exception of its own type", "[libc_sim][statics][unit]") {
    std::string what;
    std::exception_ptr kept;
    {
        World world{Seed{1}};
        run(world, "a", "throws");
        try {
            world.run_for(1s);
        } catch (const std::runtime_error& error) {
            what = error.what();
            kept = std::current_exception();
        }
    }
    CHECK(what == "raised in the program");
    CHECK(kept);
}

TEST_CASE("A ProgramFile that is no program gives the reason", "[libc_sim][statics][unit]") {
    CHECK_THROWS_AS(ProgramFile{"/nowhere/at/all"}, std::runtime_error);
    const auto reason = [](const char* path) -> std::string {
        try {
            const ProgramFile file{path};
            return {};
        } catch (const std::runtime_error& error) {
            return error.what();
        }
    };
    CHECK(reason("/proc/self/status")
              .find("is no shared object that was linked with -Wl,-Bsymbolic") !=
          std::string::npos);
    CHECK(reason(BELAY_PLAIN_PROGRAM).find("use belay_add_simulated_program") != std::string::npos);
    // Whether it has unique variables, too, depends on the compiler.
    CHECK(reason("/proc/self/exe").find("use belay_add_simulated_program") != std::string::npos);
    CHECK(reason(BELAY_STATICS_PROGRAM).empty());
}

TEST_CASE("Thousands of starts of a ProgramFile fit into one process",
          "[libc_sim][statics][unit]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        World world{Seed{seed}};
        Host& host = run(world, "a", "stays");
        for (int i = 0; i < 50; ++i) world.restart(host), world.run_for(1ms);
    }
    World world{Seed{1}};
    Host& host = run(world, "a", "returns");
    world.run_for(1s);
    CHECK(text(host, "found") == fresh("returns"));
}

}  // namespace libc_statics_test
