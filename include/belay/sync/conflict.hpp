// SPDX-License-Identifier: MIT
/// \file belay/sync/conflict.hpp
/// Conflict: an operation that contradicts the store; Resolution: the decision about it.
#pragma once

#include <cstdint>      // std::uint8_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant

#include <belay/core/assert.hpp>
#include <belay/sync/operation_like.hpp>

namespace belay { inline namespace BELAY_ABI {

// Everywhere in sync, *local* means the state of the store, and *remote* the operation that comes.

/// A reason of a conflict: the element to be changed or removed does not exist.
struct ElementNotFound {
    friend constexpr bool operator==(ElementNotFound, ElementNotFound) noexcept = default;
};
/// A reason of a conflict: the element to be added exists, and the operation is not older.
struct ElementAlreadyExists {
    friend constexpr bool operator==(ElementAlreadyExists, ElementAlreadyExists) noexcept = default;
};
/// A reason of a conflict: the store has a later change.
struct StaleTimestamp {
    /// The stamp of the element in the store; that of the tombstone if it was removed.
    Stamp local{};
    /// The stamp of the operation.
    Stamp remote{};

    friend constexpr bool operator==(const StaleTimestamp&,
                                     const StaleTimestamp&) noexcept = default;
};
/// A reason of a conflict: two changes at the same moment by two origins.
///
/// It is also the reason if an operation adds an element that was removed before.
struct ConcurrentModification {
    friend constexpr bool operator==(ConcurrentModification,
                                     ConcurrentModification) noexcept = default;
};

/// The reason why an operation contradicts the store.
using ConflictReason =
    std::variant<ElementNotFound, ElementAlreadyExists, StaleTimestamp, ConcurrentModification>;

/// Returns the name of a reason.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(const ConflictReason& reason) noexcept {
    constexpr std::string_view names[] = {"ElementNotFound", "ElementAlreadyExists",
                                          "StaleTimestamp", "ConcurrentModification"};
    return names[reason.index()];
}

/// An operation that was not applied because of the state of the store.
template <OperationLike Op>
struct Conflict {
    /// The operation as it came; the store does not have its change.
    Op operation;
    /// Why it contradicts the store. If it was sent again, StaleTimestamp has the stamp of now.
    ConflictReason reason{};
    /// Whether the conflict is decided. A decided operation is not tried again; any other is
    /// pending.
    bool resolved = false;

    /// Calls `f(name, field)` for each field.
    static constexpr void each_field(auto& self, auto&& f) {
        f("operation", self.operation), f("reason", self.reason), f("resolved", self.resolved);
    }
    friend bool operator==(const Conflict&, const Conflict&) = default;
};

namespace part {

/// The version of an element that an applied operation replaced although its author had not seen
/// it.
template <class Value>
struct ReplacedVersion {
    /// Its stamp, which names its author.
    Stamp stamp{};
    /// Its value; empty if it was a removal.
    std::optional<Value> value{};

    /// Calls `f(name, field)` for each field, except the value.
    static constexpr void each_field(auto& self, auto&& f) { f("stamp", self.stamp); }
    friend bool operator==(const ReplacedVersion&, const ReplacedVersion&) = default;
};

}  // namespace part

/// The decision about a conflict.
///
/// Thread safety: a plain value.
template <class Value>
class Resolution {
public:
    /// The kinds of decisions.
    enum class Kind : std::uint8_t {
        keep_local,   ///< the store stays as it is, and the operation is done
        keep_remote,  ///< the operation is applied
        merged,       ///< a value made of both is written, with a stamp above both
        pending       ///< not decided: the operation is listed, and decided again later
    };

    /// Decides against the operation. Its sender receives it as a Conflict.
    [[nodiscard]] static Resolution keep_local() noexcept { return Resolution{Kind::keep_local}; }
    /// Applies the operation. Its sender receives the replaced version in SyncResult::overwrote.
    [[nodiscard]] static Resolution keep_remote() noexcept { return Resolution{Kind::keep_remote}; }
    /// Writes `value` in place of both. The operation counts as applied.
    [[nodiscard]] static Resolution merged(Value value) {
        Resolution made{Kind::merged};
        made.value_.emplace(std::move(value));
        return made;
    }
    /// Leaves the operation pending, at most for SyncOptions::pending_for.
    [[nodiscard]] static Resolution pending() noexcept { return Resolution{Kind::pending}; }

    /// Returns the decision. Only Kind::merged has a value().
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    /// Returns the merged value.   Pre: kind() is Kind::merged.
    [[nodiscard]] const Value& value() const noexcept {
        BELAY_PRECONDITION(kind_ == Kind::merged,
                           "Resolution::value: the resolution must be merged");
        return *value_;
    }

private:
    explicit Resolution(Kind kind) noexcept : kind_{kind} {}

    Kind kind_;
    std::optional<Value> value_{};
};

}}  // namespace belay
