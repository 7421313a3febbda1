// SPDX-License-Identifier: MIT
// Goal: an exhaustion tries every sequence, reports the shortest that fails, and detects an
// incomplete digest and a required event that never happens. Method: small machines with planted
// faults.
#include <belay/sim/exhaust.hpp>

#include <set>
#include <stdexcept>

#include "support/catch.hpp"

using namespace belay;

namespace {

sim::ExhaustOptions unprinted(std::uint32_t depth) { return {.depth = depth, .print = false}; }

/// A counter from 0 to 9. Its faults are planted.
struct CountModel {
    int value = 0;
    int parity = 0;  // of the number of steps
    bool forgets_parity = false;
    bool throws = false;
    int forbidden = -1;

    void step(sim::Choice& c) {
        switch (c.choose({"up", "down", "add"})) {
            case 0:
                if (value == 9) return c.impossible();
                ++value;
                break;
            case 1:
                if (value == 0 || parity == 1) return c.impossible();
                --value;
                break;
            default: {
                const int n = static_cast<int>(c.choose("number", 3));
                if (value + n > 9) return c.impossible();
                if (n == 2) c.reach("two");
                value += n;
            }
        }
        parity = 1 - parity;
        if (throws && value == 5) throw std::runtime_error{"five"};
        c.require(value != forbidden, "the value is allowed");
    }
    void digest(sim::Digest& d) const {
        d(value);
        if (!forgets_parity) d(parity);
    }
};

/// A light with a required event. `stuck` and `blinks` are planted faults.
struct Light {
    enum class State { red, yellow, green, broken, off };
    State state = State::red;
    bool stuck = false;
    bool blinks = false;
    bool repairs = true;

    void step(sim::Choice& c) {
        switch (c.choose({"a second", "a fault", "a repair", "nothing"})) {
            case 0:
                if (state == State::red) {
                    state = State::yellow;
                } else if (state == State::yellow) {
                    if (stuck) return c.impossible();
                    const bool back = blinks && c.choose({"on", "back"}) == 1;
                    state = back ? State::red : State::green;
                } else if (state == State::green) {
                    state = State::red;
                } else {
                    return c.impossible();
                }
                break;
            case 1:
                c.unfair();
                state = State::broken;
                break;
            case 2:
                if (state != State::broken || !repairs) return c.impossible();
                state = State::red;
                break;
            default:
                break;
        }
    }
    void digest(sim::Digest& d) const { d(state); }
    bool settled() const { return state == State::green; }
};

/// A machine with a state for each number of 32 bits.
struct Wide {
    std::uint64_t bits = 1;
    void step(sim::Choice& c) { bits = bits * 2 + c.choose("bit", 2); }
    void digest(sim::Digest& d) const { d(bits); }
    std::size_t bytes() const { return 100; }
};

}  // namespace

TEST_CASE("exhaust finds every state, and no other", "[sim][exhaust][unit]") {
    const sim::ExhaustReport all = sim::exhaust(unprinted(100), CountModel{});
    CHECK(all);
    CHECK(all.complete);
    CHECK(all.states == 20);
    CHECK(all.marks.at("two") == 16);
    CHECK_FALSE(sim::exhaust(unprinted(3), CountModel{}).complete);
    const sim::ExhaustReport wide = sim::exhaust(unprinted(10), Wide{});
    CHECK(wide);
    CHECK_FALSE(wide.complete);
    CHECK(wide.depth == 10);
    CHECK(wide.states == (1U << 11) - 1);
    CHECK(wide.steps == (1U << 11) - 2);
    CHECK(wide.summary().find("all sequences of 10 steps") != std::string::npos);
}

TEST_CASE("exhaust reports the shortest sequence that fails", "[sim][exhaust][unit]") {
    CountModel meter;
    meter.forbidden = 4;
    const sim::ExhaustReport r = sim::exhaust(unprinted(100), meter);
    CHECK_FALSE(r);
    CHECK(r.problem == "the value is allowed");
    CHECK(r.path == std::vector<std::string>{"add, number 2", "add, number 2"});
    CHECK(r.text().find("2. add, number 2") != std::string::npos);
    meter.forbidden = 11;
    meter.throws = true;
    const sim::ExhaustReport thrown = sim::exhaust(unprinted(100), meter);
    CHECK(thrown.problem == "the step threw: five");
    CHECK(thrown.path.size() == 3);
}

TEST_CASE("exhaust detects a digest that leaves a field out", "[sim][exhaust][unit]") {
    CountModel meter;
    meter.forgets_parity = true;
    sim::ExhaustOptions options = unprinted(100);
    options.recheck_percent = 100;
    const sim::ExhaustReport r = sim::exhaust(options, meter);
    CHECK(r.problem.find("a field is missing") != std::string::npos);
    CHECK(r.path.size() + r.other_path.size() > 0);
    CHECK(sim::exhaust(options, CountModel{}));
}

TEST_CASE("exhaust detects that a required event never happens", "[sim][exhaust][unit]") {
    CHECK(sim::exhaust(unprinted(100), Light{}));
    Light light;
    light.stuck = true;
    sim::ExhaustReport r = sim::exhaust(unprinted(100), light);
    CHECK(r.problem.find("nothing happens any more") != std::string::npos);
    CHECK(r.path == std::vector<std::string>{"a second"});
    light = {};
    light.repairs = false;
    r = sim::exhaust(unprinted(100), light);
    CHECK(r.path == std::vector<std::string>{"a fault"});
    light = {};
    light.blinks = true;
    r = sim::exhaust(unprinted(100), light);
    CHECK(r.problem.find("repeat for ever") != std::string::npos);
    CHECK(r.cycle.size() == 2);
    CHECK(std::set<std::string>(r.cycle.begin(), r.cycle.end()) ==
          std::set<std::string>{"a second", "a second, back"});
    // A fair schedule leaves the cycle.
    sim::ExhaustOptions fair = unprinted(100);
    fair.liveness = sim::Liveness::fair_schedule;
    CHECK(sim::exhaust(fair, light));
    light.repairs = false;
    CHECK_FALSE(sim::exhaust(fair, light));
    // Events after the last step do not count.
    light.stuck = true;
    CHECK(sim::exhaust(unprinted(1), light));
}

TEST_CASE("exhaust reports no result beyond its memory", "[sim][exhaust][unit]") {
    sim::ExhaustOptions options = unprinted(24);
    options.memory_bytes_max = 1 << 20;
    const sim::ExhaustReport r = sim::exhaust(options, Wide{});
    CHECK_FALSE(r);
    CHECK(r.out_of_memory);
    CHECK_FALSE(r.complete);
    CHECK(r.depth < 16);
    CHECK(r.memory_bytes < 3 << 19);
    CHECK(r.problem.find("limit of memory") != std::string::npos);
    options.depth_min = r.depth;
    const sim::ExhaustReport enough = sim::exhaust(options, Wide{});
    CHECK(enough);
    CHECK(enough.summary().find("ended by the limit of memory") != std::string::npos);
}

TEST_CASE("exhaust reports no fault of the digest at the state where its memory ended",
          "[sim][exhaust][unit]") {
    struct Counters {
        unsigned a = 0;
        unsigned b = 0;
        void step(sim::Choice& c) { ++(c.choose({"a", "b"}) == 0 ? a : b); }
        void digest(sim::Digest& d) const {
            d(a);
            d(b);
        }
    };
    sim::ExhaustOptions options = unprinted(60);
    options.depth_min = 1;
    options.recheck_percent = 100;
    for (std::uint64_t bytes = 10'000; bytes < 60'000; bytes += 101) {
        options.memory_bytes_max = bytes;
        const sim::ExhaustReport r = sim::exhaust(options, Counters{});
        INFO(bytes << " bytes");
        CHECK(r.problem == "");
    }
}

TEST_CASE("exhaust rejects a depth of zero, and a machine without a step", "[sim][exhaust][unit]") {
    CHECK(sim::exhaust(unprinted(0), CountModel{}).problem == "the depth is zero");
    struct Dead {
        void step(sim::Choice& c) { c.impossible(); }
        void digest(sim::Digest& d) const { d(1); }
    };
    CHECK(sim::exhaust(unprinted(5), Dead{}).problem == "no step is possible");
}

TEST_CASE("exhaust reports a step that does not depend on its model and choices only",
          "[sim][exhaust][unit]") {
    static int calls = 0;
    struct Fickle {
        void step(sim::Choice& c) {
            const std::size_t first = c.choose("first", 2 + static_cast<std::size_t>(++calls % 2));
            c.result(first);
        }
        void digest(sim::Digest& d) const { d(1); }
    };
    CHECK(sim::exhaust(unprinted(5), Fickle{}).problem.find("when it was repeated") !=
          std::string::npos);
}
