// SPDX-License-Identifier: MIT
/// \file tests/support/storage_conformance.hpp
/// check_storage_conformance: belay::check_storage as a check of Catch2.
#pragma once

#include <belay/queue/storage_check.hpp>

#include <concepts>
#include <optional>
#include <string>

#include "support/catch.hpp"

namespace belay_test {

/// What a fault says, or "".
inline std::string text_of(const std::optional<belay::StorageFault>& fault) {
    if (!fault) return "";
    return std::string{"broken: "} + to_string(fault->rule) + " (history " +
           std::to_string(fault->history) + ", " + std::to_string(fault->pushed) + " pushed)";
}

template <class Make, class Value>
void check_storage_conformance(Make make, Value value, belay::StorageCheckOptions options = {}) {
    CHECK(text_of(belay::check_storage(make, value, options)) == "");
}
template <class Make, class Value, std::invocable Reopen>
void check_storage_conformance(Make make, Value value, Reopen reopen,
                               belay::StorageCheckOptions options = {}) {
    CHECK(text_of(belay::check_storage(make, value, reopen, options)) == "");
}

}  // namespace belay_test
