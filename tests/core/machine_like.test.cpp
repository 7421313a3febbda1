// SPDX-License-Identifier: MIT
// Goal: a turn detects that user code has destroyed its machine, in any nesting of turns and
// machines. Method: nested guards.
#include <belay/core/machine_like.hpp>

#include <memory>
#include <optional>
#include <stdexcept>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("TurnGuard marks a turn during its lifetime", "[core][machine_like][unit]") {
    belay::driver::LifetimeFlag lifetime;
    CHECK_FALSE(lifetime.in_turn());
    {
        const belay::driver::TurnGuard turn{lifetime};
        CHECK(lifetime.in_turn());
        CHECK_FALSE(turn.gone());
    }
    CHECK_FALSE(lifetime.in_turn());
}

TEST_CASE("TurnGuard notifies all nested turns that the machine is destroyed",
          "[core][machine_like][unit]") {
    auto lifetime = std::make_unique<belay::driver::LifetimeFlag>();
    const belay::driver::TurnGuard outer{*lifetime};
    {
        const belay::driver::TurnGuard middle{*lifetime};
        {
            const belay::driver::TurnGuard inner{*lifetime};
            lifetime.reset();
            CHECK(inner.gone());
        }
        CHECK(middle.gone());
    }
    CHECK(outer.gone());
}

TEST_CASE("TurnGuard of an outer turn is valid after an inner one has ended",
          "[core][machine_like][unit]") {
    auto lifetime = std::make_unique<belay::driver::LifetimeFlag>();
    const belay::driver::TurnGuard outer{*lifetime};
    { const belay::driver::TurnGuard inner{*lifetime}; }
    CHECK(lifetime->in_turn());
    lifetime.reset();
    CHECK(outer.gone());
}

TEST_CASE("TurnGuard ends its turn when user code throws", "[core][machine_like][fault]") {
    belay::driver::LifetimeFlag lifetime;
    CHECK_THROWS([&] {
        const belay::driver::TurnGuard turn{lifetime};
        throw std::runtime_error{"user"};
    }());
    CHECK_FALSE(lifetime.in_turn());
}

TEST_CASE("A machine within a machine: each turn guards its own", "[core][machine_like][unit]") {
    struct Outer {
        belay::driver::LifetimeFlag lifetime;
        std::optional<belay::driver::LifetimeFlag> inner{std::in_place};
    };
    auto machine = std::make_unique<Outer>();
    const belay::driver::TurnGuard outer_turn{machine->lifetime};
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
