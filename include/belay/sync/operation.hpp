// SPDX-License-Identifier: MIT
/// \file belay/sync/operation.hpp
/// Operation: one change that a client made, online or not.
#pragma once

#include <map>           // std::map
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move, std::pair
#include <variant>       // std::variant, std::get_if
#include <vector>        // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/result.hpp>
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
    /// One of the four changes, in the order of OperationKind.
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
    /// The id that the operation had before it was stamped anew; no_id: it has its first id. The
    /// processor remembers both. If a network delivers the rejected request again later, it has no
    /// effect. If that request is applied before this operation arrives, both are decided.
    Id formerly{};

    /// Calls `f(name, field)` for each field, except the action.
    static constexpr void each_field(auto& self, auto&& f) {
        f("id", self.id), f("stamp", self.stamp), f("saw?", self.saw);
        f("formerly?", self.formerly);
    }
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

    /// Gives operations of one author new ids and the stamps of another clock, in their order.
    /// `formerly` of each is its first id.
    ///
    /// Use it if the stamps of operations are ahead of the processor's clock, and you do not want
    /// to wait (`from_the_future`). Pass all of them that are kept, also those that are held back.
    /// - If your wall clock jumped ahead and was corrected, pass a new HybridClock over it: the old
    ///   one never goes back.
    /// - If your wall clock is still ahead, pass a HybridClock over a clock that is behind it by
    ///   the reported `wait`.
    ///
    /// An operation that saw an earlier one of `operations` sees the new version of it. Each stamp
    /// is above the version that its operation saw, and above the earlier ones on its element.
    /// Pre:    no store has applied any of them; otherwise it would be applied a second time.
    /// Errors: as of stamp_above; nothing has changed then.   Throws: std::bad_alloc.
    template <class Clock, part::BitSource Bits>
    [[nodiscard]] static std::error_code restamp(std::span<Operation> operations, Clock& clock,
                                                 Bits& bits) {
        std::map<std::pair<std::string_view, Stamp>, Stamp> versions;  // the old and the new ones
        std::map<std::string_view, Stamp> latest;                      // of each element
        std::vector<std::pair<Stamp, std::optional<Stamp>>> made;
        made.reserve(operations.size());
        for (const Operation& one : operations) {
            const std::string_view element = one.element();
            const bool changes = one.kind() != OperationKind::interaction;
            std::optional<Stamp> saw = one.saw;
            std::optional<Stamp> floor;
            if (changes) {
                const auto seen = saw ? versions.find({element, *saw}) : versions.end();
                if (seen != versions.end()) saw = seen->second;
                floor = saw;
                const auto last = latest.find(element);
                if (last != latest.end() && (!floor || *floor < last->second)) {
                    floor = last->second;
                }
            }
            const Result<Stamp> stamp =
                floor ? clock.stamp_above(*floor) : Result<Stamp>{clock.stamp()};
            if (!stamp) return stamp.error();
            if (changes) {
                versions[{element, one.stamp}] = *stamp;
                latest[element] = *stamp;
            }
            made.emplace_back(*stamp, saw);
        }
        for (std::size_t i = 0; i < operations.size(); ++i) {
            if (operations[i].formerly == no_id) operations[i].formerly = operations[i].id;
            operations[i].id = make_id(bits);
            operations[i].stamp = made[i].first;
            operations[i].saw = made[i].second;
        }
        return {};
    }

    friend bool operator==(const Operation&, const Operation&) = default;
    // Called by detail::hash_of_operation.
    friend std::string_view what_happened(const Operation& operation) noexcept {
        const auto* interaction = std::get_if<Interaction>(&operation.action);
        return interaction != nullptr ? std::string_view{interaction->what} : std::string_view{};
    }
};

}}  // namespace belay
