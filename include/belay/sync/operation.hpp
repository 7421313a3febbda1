// SPDX-License-Identifier: MIT
/// \file belay/sync/operation.hpp
/// Operation: one change that a client made, online or not.
#pragma once

#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant, std::get_if

#include <belay/core/assert.hpp>
#include <belay/sync/operation_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Adds a whole element.
template <class Value>
struct AddElement {
    /// The element's id; not empty.
    std::string id;
    /// The element.
    Value element;

    friend bool operator==(const AddElement&, const AddElement&) = default;
};
template <class Value>
AddElement(const char*, Value) -> AddElement<Value>;
template <class Value>
AddElement(std::string, Value) -> AddElement<Value>;

/// Changes an existing element.
template <class Value>
struct UpdateElement {
    /// The element's id; not empty.
    std::string id;
    /// The new value of the element, as a whole.
    Value changes;
    /// The value before the change, if a strategy is to merge.
    std::optional<Value> base{};

    friend bool operator==(const UpdateElement&, const UpdateElement&) = default;
};
template <class Value>
UpdateElement(const char*, Value) -> UpdateElement<Value>;
template <class Value>
UpdateElement(std::string, Value) -> UpdateElement<Value>;
template <class Value>
UpdateElement(std::string, Value, std::optional<Value>) -> UpdateElement<Value>;

/// Removes an element.
struct RemoveElement {
    /// The element's id; not empty.
    std::string id;

    friend bool operator==(const RemoveElement&, const RemoveElement&) = default;
};

/// An event: `on_operation` reports it, it counts as synced, and it changes nothing.
struct Interaction {
    /// The element that the event concerns; may be empty.
    std::string id;
    /// A description of the event.
    std::string what;

    friend bool operator==(const Interaction&, const Interaction&) = default;
};

/// One change of one element, with an id of its own and the stamp of the change.
///
///     Operation<Note> edit{make_id(bits), clock.stamp_above(seen).value(),
///                          UpdateElement{"note-1", note}, seen};
///
/// Models:        OperationLike.
/// Thread safety: a plain value.
template <class Value>
struct Operation {
    using value_type = Value;
    using Action =
        std::variant<AddElement<Value>, UpdateElement<Value>, RemoveElement, Interaction>;

    /// The id, which no other operation has; see make_id.
    Id id{};
    /// The time and the author of the change; see HybridClock.
    Stamp stamp{};
    /// The change itself.
    Action action{};
    /// The stamp of the version that the author saw and changed; Stamp{} if the element was absent.
    /// With it the processor detects concurrent changes, independent of the clocks. An Interaction
    /// needs none.
    std::optional<Stamp> saw{};

    [[nodiscard]] OperationKind kind() const noexcept {
        return static_cast<OperationKind>(action.index());
    }
    [[nodiscard]] std::string_view element() const noexcept {
        if (const auto* add = std::get_if<AddElement<Value>>(&action)) return add->id;
        if (const auto* update = std::get_if<UpdateElement<Value>>(&action)) return update->id;
        if (const auto* removal = std::get_if<RemoveElement>(&action)) return removal->id;
        const auto* interaction = std::get_if<Interaction>(&action);
        return interaction != nullptr ? std::string_view{interaction->id} : std::string_view{};
    }
    /// Returns the value of an add or update.   Pre: the operation adds or updates.
    [[nodiscard]] const Value& value() const noexcept {
        if (const auto* add = std::get_if<AddElement<Value>>(&action)) return add->element;
        const auto* update = std::get_if<UpdateElement<Value>>(&action);
        BELAY_PRECONDITION(update != nullptr, "Operation::value: the operation must add or update");
        return update->changes;
    }
    /// Returns the value before the change; null if it is not known.
    [[nodiscard]] const Value* base() const noexcept {
        const auto* update = std::get_if<UpdateElement<Value>>(&action);
        return update != nullptr && update->base ? &*update->base : nullptr;
    }

    friend bool operator==(const Operation&, const Operation&) = default;
    // Called by detail::hash_of_operation.
    friend std::string_view what_happened(const Operation& operation) noexcept {
        const auto* interaction = std::get_if<Interaction>(&operation.action);
        return interaction != nullptr ? std::string_view{interaction->what} : std::string_view{};
    }
};

}}  // namespace belay
