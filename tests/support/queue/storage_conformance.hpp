// SPDX-License-Identifier: MIT
/// \file tests/support/queue/storage_conformance.hpp
/// check_storage_conformance: belay::check::storage as a check of Catch2; check_under_queue.
#pragma once

#include <belay/core/bytes.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storage_check.hpp>

#include <concepts>
#include <optional>
#include <string>

#include "support/catch.hpp"

namespace belay_test {

/// The text of a fault, or "".
inline std::string text_of(const std::optional<belay::check::StorageFault>& fault) {
    if (!fault) return "";
    return std::string{"broken: "} + to_string(fault->rule) + " (history " +
           std::to_string(fault->history) + ", " + std::to_string(fault->pushed) + " pushed)";
}

template <class Make, class Value>
void check_storage_conformance(Make make, Value value, belay::check::StorageOptions options = {}) {
    CHECK(text_of(belay::check::storage(make, value, options)) == "");
}
template <class Make, class Value, std::invocable Reopen>
void check_storage_conformance(Make make, Value value, Reopen reopen,
                               belay::check::StorageOptions options = {}) {
    CHECK(text_of(belay::check::storage(make, value, reopen, options)) == "");
}
/// The same for a storage whose file `displace` moves away and back.
template <class Make, class Value, std::invocable Reopen, std::invocable<bool> Displace>
void check_storage_conformance(Make make, Value value, Reopen reopen, Displace displace,
                               belay::check::StorageOptions options = {}) {
    CHECK(text_of(belay::check::storage(make, value, reopen, displace, options)) == "");
}

/// A Queue of at most 3 operations over an empty storage: it rejects, drains up to an operation
/// that fails, and continues.
template <class Storage>
void check_under_queue(Storage storage) {
    belay::Queue queue{std::move(storage), {.limit = 3}};
    for (const char* text : {"a", "b", "c"}) CHECK_FALSE(queue.push(belay::as_bytes(text)));
    CHECK(queue.push(belay::as_bytes("d")) == belay::QueueErrc::queue_full);
    std::string seen;
    const belay::DrainReport result = queue.drain([&](belay::BytesView body) {
        seen += belay::as_text(body);
        return seen.size() < 2;
    });
    CHECK(seen == "ab");
    CHECK(result.drained == 1);
    CHECK(result.error == belay::QueueErrc::executor_failed);
    CHECK(belay::as_text(*queue.pop()) == "b");
    CHECK(queue.size() == 1);
}

}  // namespace belay_test
