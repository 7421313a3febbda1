// SPDX-License-Identifier: MIT
/// \file belay/sync/store_like.hpp
/// StoreLike: where elements, their stamps, and the ids of applied operations are kept.
#pragma once

#include <concepts>      // std::same_as
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/detail/member_names.hpp>
#include <belay/core/result.hpp>
#include <belay/sync/operation_like.hpp>
#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// Which element is meant: views, good for the call that takes them.
struct ElementKey {
    /// The document, board or scene that the element is of.
    std::string_view session;
    /// Tells it from the others of the session.
    std::string_view id;
};

/// What a store knows of an element.
enum class Presence : std::uint8_t {
    absent,  ///< never seen, or forgotten
    live,    ///< there
    removed  ///< not there, and that is remembered: a tombstone
};

/// An element without its value.
struct ElementState {
    Presence presence = Presence::absent;
    /// Of the change that counts; of an absent element no stamp at all.
    Stamp stamp{};

    friend constexpr bool operator==(const ElementState&, const ElementState&) noexcept = default;
};

/// What is written with every effect, and in one piece with it.
struct WriteMark {
    /// The element's new stamp.
    Stamp stamp{};
    /// The operation that does it; remembered.
    Id operation{};
    /// The hash of the operation's contents and session; remembered with its id.
    std::uint64_t hash = 0;
};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(transaction);

template <class S>
concept HasOperationType =
    requires { typename S::operation_type; } && OperationLike<typename S::operation_type>;
template <class S>
using ValueOfStore = typename S::operation_type::value_type;

template <class S>
concept HasFind = requires(S& store, const part::ElementKey& key) {
    { store.find(key) } -> std::same_as<Result<part::ElementState>>;
};
template <class S>
concept HasRead = HasOperationType<S> && requires(S& store, const part::ElementKey& key) {
    { store.read(key) } -> std::same_as<Result<std::optional<ValueOfStore<S>>>>;
};
template <class S>
concept HasAdd =
    HasOperationType<S> && requires(S& store, const part::ElementKey& key,
                                    const ValueOfStore<S>& value, const part::WriteMark& m) {
        { store.add(key, value, m) } -> std::same_as<std::error_code>;
    };
template <class S>
concept HasUpdate =
    HasOperationType<S> && requires(S& store, const part::ElementKey& key,
                                    const ValueOfStore<S>& value, const part::WriteMark& m) {
        { store.update(key, value, m) } -> std::same_as<std::error_code>;
    };
template <class S>
concept HasRemove = requires(S& store, const part::ElementKey& key, const part::WriteMark& mark) {
    { store.remove(key, mark) } -> std::same_as<std::error_code>;
};
template <class S>
concept HasRemember = requires(S& store, const part::WriteMark& mark) {
    { store.remember(mark) } -> std::same_as<std::error_code>;
};
template <class S>
concept HasApplied = requires(S& store, const Id& operation) {
    { store.applied(operation) } -> std::same_as<Result<std::optional<std::uint64_t>>>;
};
template <class S>
concept HasExpire = requires(S& store, WallTime now) {
    { store.expire(now) } -> std::same_as<std::error_code>;
};
template <class S>
concept HasHorizon = requires(const S& store) {
    { store.horizon() } noexcept -> std::same_as<WallTime>;
};

struct TransactionBody {
    std::error_code operator()() const { return {}; }
};
template <class S>
concept HasTransaction = requires(S& store, TransactionBody& body) {
    { store.transaction(body) } -> std::same_as<std::error_code>;
};
// A member of this name that cannot be called so would be passed over in silence.
template <class S>
concept NamesTransaction = HasTransaction<S> || has_transaction<S>();

}  // namespace detail

/// Keeps the elements of sessions; MemoryStore is one.
///
/// - `operation_type`: the OperationLike whose values it keeps.
/// - `find(key) -> Result<ElementState>`: absent, live or removed, and the stamp. An Interaction
///   may ask of no element: of the empty id, which is absent.
/// - `read(key) -> Result<std::optional<value_type>>`: the value of a live element.
/// - `add(key, value, mark)`: the element is live with this value and stamp, whatever it was.
/// - `update(key, value, mark)`: the same, of a live element only.
/// - `remove(key, mark)`: the element is removed as of this stamp, whatever it was, also absent.
/// - `remember(mark)`: an operation was decided, and changed nothing.
/// - `applied(operation) -> Result<std::optional<std::uint64_t>>`: the hash that was given with
///   this id by any of the four above; of so many of the latest as the store says (more than a
///   client sends again), nothing of older ones.
/// - `expire(now)`: may forget tombstones that are older than it keeps them.
/// - `horizon() const noexcept -> WallTime`: no tombstone of this moment, or later, was forgotten;
///   never goes back. What is older than it is refused: it cannot be judged.
/// - optional: `transaction(body)`: calls `body()`, which answers a std::error_code, once, and
///   keeps all that it did to the store if that is no error, else nothing; answers the error.
///   If `body` throws, nothing is kept, and it leaves.
///
/// Each call happens whole, effect and mark, or not at all, also when it fails; a code says why,
/// see SyncErrc. What was answered survives what the store survives.
template <class S>
concept StoreLike =
    detail::HasOperationType<S> && detail::HasFind<S> && detail::HasRead<S> && detail::HasAdd<S> &&
    detail::HasUpdate<S> && detail::HasRemove<S> && detail::HasRemember<S> &&
    detail::HasApplied<S> && detail::HasExpire<S> && detail::HasHorizon<S> &&
    (detail::HasTransaction<S> || !detail::NamesTransaction<S>);

namespace explain {

/// Names every requirement of StoreLike that S lacks.
template <class S>
consteval bool store_like() {
    static_assert(detail::HasOperationType<S>,
                  "StoreLike: S needs an operation_type that is OperationLike, see "
                  "docs/offline-first.md");
    static_assert(detail::HasFind<S>,
                  "StoreLike: S needs 'belay::Result<belay::part::ElementState> find(const "
                  "belay::part::ElementKey&)'");
    if constexpr (detail::HasOperationType<S>) {
        static_assert(detail::HasRead<S>,
                      "StoreLike: S needs 'belay::Result<std::optional<value>> read(const "
                      "belay::part::ElementKey&)'");
        static_assert(
            detail::HasAdd<S>,
            "StoreLike: S needs 'std::error_code add(const belay::part::ElementKey&, const "
            "value&, const belay::part::WriteMark&)'");
        static_assert(
            detail::HasUpdate<S>,
            "StoreLike: S needs 'std::error_code update(const belay::part::ElementKey&, const "
            "value&, const belay::part::WriteMark&)'");
    }
    static_assert(
        detail::HasRemove<S>,
        "StoreLike: S needs 'std::error_code remove(const belay::part::ElementKey&, const "
        "belay::part::WriteMark&)'");
    static_assert(detail::HasRemember<S>,
                  "StoreLike: S needs 'std::error_code remember(const belay::part::WriteMark&)'");
    static_assert(detail::HasApplied<S>,
                  "StoreLike: S needs 'belay::Result<std::optional<std::uint64_t>> applied(const "
                  "belay::Id&)'");
    static_assert(detail::HasExpire<S>,
                  "StoreLike: S needs 'std::error_code expire(belay::WallTime)'");
    static_assert(detail::HasHorizon<S>,
                  "StoreLike: S needs 'belay::WallTime horizon() const noexcept'");
    static_assert(detail::HasTransaction<S> || !detail::NamesTransaction<S>,
                  "StoreLike: S's transaction must be 'std::error_code transaction(auto& body)'");
    return StoreLike<S>;
}

}  // namespace explain

}}  // namespace belay
