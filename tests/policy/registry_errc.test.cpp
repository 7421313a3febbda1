// SPDX-License-Identifier: MIT
// Goal: each error of a registry has a text and a cause. Method: examples.
#include <belay/policy/registry.hpp>

#include "support/catch.hpp"

using namespace belay;
using policies::RegistryErrc;

TEST_CASE("RegistryErrc has a text and a cause for each value", "[policy][registry_errc][unit]") {
    const std::error_code full = RegistryErrc::full;
    CHECK(std::string{full.category().name()} == "belay.policy");
    CHECK(full.message() == "the registry is full, and none of its objects is idle");
    CHECK(cause_of(full) == Cause::overloaded);
    const std::error_code too_long = RegistryErrc::key_too_long;
    CHECK(too_long.message() == "the key is longer than the registry's limit");
    CHECK(cause_of(too_long) == Cause::permanent);
}
