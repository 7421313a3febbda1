// SPDX-License-Identifier: MIT
/// \file belay/sync/conflict.hpp
/// Conflict: an operation that contradicts what the store has; Resolution: what becomes of it.
#pragma once

#include <cstdint>      // std::uint8_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant

#include <belay/core/assert.hpp>
#include <belay/sync/operation_like.hpp>

namespace belay { inline namespace BELAY_ABI {

// As everywhere in sync, *local* is what the store has, and *remote* the operation that comes.

/// What is to be changed, or removed, is not there.
struct ElementNotFound {
    friend constexpr bool operator==(ElementNotFound, ElementNotFound) noexcept = default;
};
/// What is to be added is there, and not newer.
struct ElementAlreadyExists {
    friend constexpr bool operator==(ElementAlreadyExists, ElementAlreadyExists) noexcept = default;
};
/// The store has a later change.
struct StaleTimestamp {
    Stamp local{};
    Stamp remote{};

    friend constexpr bool operator==(const StaleTimestamp&,
                                     const StaleTimestamp&) noexcept = default;
};
/// Two changes at the same moment by two origins; or an element is added that was removed before.
struct ConcurrentModification {
    friend constexpr bool operator==(ConcurrentModification,
                                     ConcurrentModification) noexcept = default;
};

/// Why an operation contradicts the store.
using ConflictReason =
    std::variant<ElementNotFound, ElementAlreadyExists, StaleTimestamp, ConcurrentModification>;

/// The name of the reason.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(const ConflictReason& reason) noexcept {
    constexpr std::string_view names[] = {"ElementNotFound", "ElementAlreadyExists",
                                          "StaleTimestamp", "ConcurrentModification"};
    return names[reason.index()];
}

/// An operation that was not applied because of what the store has.
template <OperationLike Op>
struct Conflict {
    Op operation;
    ConflictReason reason{};
    /// Decided: it is not tried again. Otherwise it is pending.
    bool resolved = false;

    friend bool operator==(const Conflict&, const Conflict&) = default;
};

/// What becomes of a conflict.
///
/// Thread safety: a plain value.
template <class Value>
class Resolution {
public:
    enum class Kind : std::uint8_t {
        keep_local,   ///< the store stays as it is, the operation is done with
        keep_remote,  ///< the operation is applied
        merged,       ///< a value made of both is written, newer than both
        pending       ///< undecided: the operation is listed, and judged again later
    };

    [[nodiscard]] static Resolution keep_local() noexcept { return Resolution{Kind::keep_local}; }
    [[nodiscard]] static Resolution keep_remote() noexcept { return Resolution{Kind::keep_remote}; }
    [[nodiscard]] static Resolution merged(Value value) {
        Resolution made{Kind::merged};
        made.value_.emplace(std::move(value));
        return made;
    }
    [[nodiscard]] static Resolution pending() noexcept { return Resolution{Kind::pending}; }

    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    /// Pre: merged.
    [[nodiscard]] const Value& value() const noexcept {
        BELAY_PRECONDITION(kind_ == Kind::merged, "Resolution::value: it must be merged");
        return *value_;
    }

private:
    explicit Resolution(Kind kind) noexcept : kind_{kind} {}

    Kind kind_;
    std::optional<Value> value_{};
};

}}  // namespace belay
