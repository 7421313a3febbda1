// SPDX-License-Identifier: MIT
/// \file tests/support/storage_conformance.hpp
/// What every storage must do, as one function: `check_storage_conformance(make, value)`.
#pragma once

#include <belay/core/random.hpp>
#include <belay/queue/leasable_like.hpp>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace belay_test {

/// Runs random pushes, pops, loans, acks and nacks on a storage and on a std::deque beside it.
///
/// `make()` gives an empty storage; `value(i)` gives a value that differs for each i and can be
/// compared; `same(lent, value)` compares what `front` lends. Answers what is wrong, or "".
template <class Make, class Value, class Same>
std::string storage_mistake(Make make, Value value, Same same, std::uint64_t seed,
                            std::size_t steps) {
    auto storage = make();
    using Storage = decltype(storage);
    static_assert(belay::explain_leasable_like<Storage>());
    belay::Random bits{belay::Seed{seed}};
    std::deque<typename Storage::value_type> model;
    std::uint64_t next = 0;
    const auto taken = [](const auto& answer) {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(answer)>, bool>)
            return answer;
        else
            return !answer;
    };
    for (std::size_t i = 0; i < steps; ++i) {
        if (storage.size() != model.size()) return "size() is wrong";
        switch (bits() % 8) {
            case 0:
            case 1:
            case 2: {
                const bool room = model.size() < storage.capacity();
                auto offered = value(next);
                if (taken(storage.try_push(std::move(offered))) != room) {
                    return room ? "refuses although there is room" : "takes more than it can hold";
                }
                if (room) {
                    model.push_back(value(next));
                } else if (offered != value(next)) {
                    return "a refused value was changed";
                }
                ++next;
                break;
            }
            case 3: {
                std::optional<typename Storage::value_type> got = storage.try_pop();
                if (got.has_value() != !model.empty()) return "try_pop() is wrong about emptiness";
                if (got && *got != model.front()) return "not first in, first out";
                if (got) model.pop_front();
                break;
            }
            case 4: {
                Storage moved{std::move(storage)};
                storage = std::move(moved);
                break;
            }
            default: {
                auto&& lent = storage.front();
                if (static_cast<bool>(lent) != !model.empty()) return "front() is wrong";
                if (!lent) break;
                if (!same(*lent, model.front())) return "lends another than the oldest";
                if (model.size() < storage.capacity() && bits() % 2 == 0) {
                    static_cast<void>(storage.try_push(value(next)));
                    model.push_back(value(next++));
                    if (!same(*lent, model.front())) return "a push disturbs what is lent";
                }
                if (bits() % 2 == 0) {
                    static_cast<void>(storage.ack());
                    model.pop_front();
                } else {
                    static_cast<void>(storage.nack());
                    if (storage.size() != model.size()) return "nack() lost the value";
                    auto&& again = storage.front();
                    if (!again || !same(*again, model.front())) return "nack() lost the order";
                    static_cast<void>(storage.nack());
                }
                break;
            }
        }
    }
    while (!model.empty()) {
        const auto got = storage.try_pop();
        if (!got || *got != model.front()) return "not everything came out";
        model.pop_front();
    }
    return storage.try_pop() ? "more came out than went in" : "";
}

/// The whole suite: "is my storage right?" in one line.
template <class Make, class Value, class Same>
void check_storage_conformance(Make make, Value value, Same same) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        const std::string mistake = storage_mistake(make, value, same, seed, 300);
        INFO("seed " << seed);
        REQUIRE(mistake == "");
    }
}
template <class Make, class Value>
void check_storage_conformance(Make make, Value value) {
    check_storage_conformance(
        make, value, [](const auto& lent, const auto& expected) { return lent == expected; });
}

}  // namespace belay_test
