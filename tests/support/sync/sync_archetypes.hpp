// SPDX-License-Identifier: MIT
/// \file tests/support/sync/sync_archetypes.hpp
/// The minimal models of the concepts of sync.
#pragma once

#include <belay/sync/store_like.hpp>

namespace belay_test {

struct MinimalValue {
    MinimalValue() = delete;
    explicit MinimalValue(int given) : number{given} {}
    int number;
};
inline std::uint64_t content_hash(const MinimalValue& value) {
    return static_cast<std::uint64_t>(value.number);
}

struct MinimalOperation {
    using value_type = MinimalValue;
    belay::Id id{};
    belay::Stamp stamp{};
    belay::OperationKind does{};
    MinimalValue whole{0};

    belay::OperationKind kind() const noexcept { return does; }
    std::string_view element() const noexcept { return "element"; }
    const MinimalValue& value() const { return whole; }
};

/// A store without elements that accepts every operation.
struct MinimalStore {
    using operation_type = MinimalOperation;
    MinimalStore() = default;
    MinimalStore(const MinimalStore&) = delete;
    MinimalStore& operator=(const MinimalStore&) = delete;

    belay::Result<belay::part::ElementState> find(const belay::part::ElementKey&) {
        return belay::part::ElementState{};
    }
    belay::Result<std::optional<MinimalValue>> read(const belay::part::ElementKey&) {
        return std::optional<MinimalValue>{};
    }
    std::error_code add(const belay::part::ElementKey&, const MinimalValue&,
                        const belay::part::WriteMark&) {
        return {};
    }
    std::error_code update(const belay::part::ElementKey&, const MinimalValue&,
                           const belay::part::WriteMark&) {
        return {};
    }
    std::error_code remove(const belay::part::ElementKey&, const belay::part::WriteMark&) {
        return {};
    }
    std::error_code remember(const belay::part::WriteMark&) { return {}; }
    belay::Result<std::optional<belay::part::AppliedMark>> applied(const belay::Id&) {
        return std::optional<belay::part::AppliedMark>{};
    }
    std::error_code expire(belay::WallTime) { return {}; }
    belay::WallTime horizon() const noexcept { return belay::WallTime::min(); }
};

}  // namespace belay_test
