// SPDX-License-Identifier: MIT
// Goal: a turn detects that user code has destroyed its machine, in any nesting of turns and
// machines. Method: nested guards.
#include <belay/core/machine_like.hpp>

#include <memory>
#include <optional>
#include <stdexcept>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("TurnGuard marks a turn for as long as it lives", "[core][machine_like][unit]") {
    belay::driver::Lifeline line;
    CHECK_FALSE(line.in_turn());
    {
        const belay::driver::TurnGuard turn{line};
        CHECK(line.in_turn());
        CHECK_FALSE(turn.gone());
    }
    CHECK_FALSE(line.in_turn());
}

TEST_CASE("TurnGuard notifies all nested turns that the machine is destroyed",
          "[core][machine_like][unit]") {
    auto line = std::make_unique<belay::driver::Lifeline>();
    const belay::driver::TurnGuard outer{*line};
    {
        const belay::driver::TurnGuard middle{*line};
        {
            const belay::driver::TurnGuard inner{*line};
            line.reset();
            CHECK(inner.gone());
        }
        CHECK(middle.gone());
    }
    CHECK(outer.gone());
}

TEST_CASE("TurnGuard of an outer turn survives an inner one that ended",
          "[core][machine_like][unit]") {
    auto line = std::make_unique<belay::driver::Lifeline>();
    const belay::driver::TurnGuard outer{*line};
    { const belay::driver::TurnGuard inner{*line}; }
    CHECK(line->in_turn());
    line.reset();
    CHECK(outer.gone());
}

TEST_CASE("TurnGuard ends its turn when user code throws", "[core][machine_like][fault]") {
    belay::driver::Lifeline line;
    CHECK_THROWS([&] {
        const belay::driver::TurnGuard turn{line};
        throw std::runtime_error{"user"};
    }());
    CHECK_FALSE(line.in_turn());
}

TEST_CASE("A machine within a machine: each turn guards its own", "[core][machine_like][unit]") {
    struct Outer {
        belay::driver::Lifeline line;
        std::optional<belay::driver::Lifeline> inner{std::in_place};
    };
    auto machine = std::make_unique<Outer>();
    const belay::driver::TurnGuard outer_turn{machine->line};
    const belay::driver::TurnGuard inner_turn{*machine->inner};
    SECTION("only the inner one is destroyed") {
        machine->inner.reset();
        CHECK(inner_turn.gone());
        CHECK_FALSE(outer_turn.gone());
    }
    SECTION("both are destroyed") {
        machine.reset();
        CHECK(inner_turn.gone());
        CHECK(outer_turn.gone());
    }
}
