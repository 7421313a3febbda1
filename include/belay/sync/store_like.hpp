// SPDX-License-Identifier: MIT
/// \file belay/sync/store_like.hpp
/// StoreLike: stores elements, their stamps, and the ids of applied operations.
#pragma once

#include <concepts>      // std::same_as
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <exception>     // std::terminate
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/result.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/conflict.hpp>
#include <belay/sync/operation_like.hpp>
#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// Identifies an element. The views are valid for the call that receives them.
struct ElementKey {
    /// The document, board or scene that contains the element.
    std::string_view session;
    /// Identifies the element within the session.
    std::string_view id;
};

/// The state of an element in a store.
enum class Presence : std::uint8_t {
    absent,  ///< never added, or forgotten
    live,    ///< the element exists
    removed  ///< the element was removed, and the store remembers that: a tombstone
};

/// The presence and the stamp of an element, without its value.
struct ElementState {
    /// Whether the element exists. A tombstone may be forgotten later, and is absent then.
    Presence presence = Presence::absent;
    /// The stamp of the change that counts; an absent element has none.
    Stamp stamp{};

    friend constexpr bool operator==(const ElementState&, const ElementState&) noexcept = default;
};

/// How an operation was decided.
enum class Decision : std::uint8_t {
    unknown,              ///< the store does not remember it
    applied,              ///< it took effect, or had none to take
    not_found,            ///< a conflict, decided against it: ElementNotFound
    already_exists,       ///< the same: ElementAlreadyExists
    stale,                ///< the same: StaleTimestamp
    concurrent,           ///< the same: ConcurrentModification
    overwrote_existing,   ///< it replaced a version in spite of ElementAlreadyExists
    overwrote_later,      ///< the same: StaleTimestamp
    overwrote_concurrent  ///< the same: ConcurrentModification
};

/// Returns whether an operation with this decision replaced a version that its author had not seen.
[[nodiscard]] constexpr bool overwrites(Decision decision) noexcept {
    return decision >= Decision::overwrote_existing;
}

/// The hash and the decision of an operation, as a store remembers them.
struct AppliedMark {
    /// The hash of its WriteMark.
    std::uint64_t hash = 0;
    /// The decision of its WriteMark; a sender that asks again receives the same.
    Decision decision = Decision::unknown;

    friend constexpr bool operator==(const AppliedMark&, const AppliedMark&) noexcept = default;
};

/// The data that is written with every effect, as one unit.
struct WriteMark {
    /// The element's new stamp. In a `remove`, the element may be removed already with this very
    /// stamp: the operation had no effect then.
    Stamp stamp{};
    /// The id of the operation; remembered. no_id: nothing is remembered.
    Id operation{};
    /// The hash of the operation's contents and session; remembered with its id.
    std::uint64_t hash = 0;
    /// How the operation was decided; remembered with its id, if the store can. If it
    /// `overwrites`, a store that has `replaced` remembers the version in its place, too. A store
    /// without `replaced` gets `applied` instead.
    Decision decision = Decision::unknown;
};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(transaction);
BELAY_DETAIL_MEMBER(prefetch);
BELAY_DETAIL_MEMBER(changes_since);
BELAY_DETAIL_MEMBER(replaced);

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
    { store.applied(operation) } -> std::same_as<Result<std::optional<part::AppliedMark>>>;
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
// Without these checks, a member of such a name with another signature would be ignored without an
// error.
template <class S>
concept TransactionIsRight = HasTransaction<S> || !has_transaction<S>;

template <class S>
concept HasPrefetch = requires(S& store, const part::ElementKey& key, const Id& operation) {
    { store.prefetch(key, operation) } noexcept;
};
template <class S>
concept PrefetchIsRight = HasPrefetch<S> || !has_prefetch<S>;

template <class S>
concept HasChangesSince =
    HasOperationType<S> &&
    requires(S& store, std::string_view session, const part::StoreCursor& since, std::size_t most) {
        {
            store.changes_since(session, since, most)
        } -> std::same_as<Result<part::ChangesPage<ValueOfStore<S>>>>;
    };
template <class S>
concept ChangesSinceIsRight = HasChangesSince<S> || !has_changes_since<S>;

template <class S>
concept HasReplaced = HasOperationType<S> && requires(S& store, const Id& operation) {
    {
        store.replaced(operation)
    } -> std::same_as<Result<std::optional<part::ReplacedVersion<ValueOfStore<S>>>>>;
};
template <class S>
concept ReplacedIsRight = HasReplaced<S> || !has_replaced<S>;

template <class S>
concept HasNotes = requires(S& store, std::string_view name, BytesView bytes) {
    { store.note(name) } -> std::same_as<Result<Bytes>>;
    { store.set_note(name, bytes) } -> std::same_as<std::error_code>;
};

}  // namespace detail

/// Stores the elements of sessions; MemoryStore is one.
///
/// The names of sessions and elements are any bytes, also zero bytes and bytes that are no UTF-8.
/// They are equal if their bytes are.
///
/// - `operation_type`: the OperationLike whose values the store contains.
/// - `find(key) -> Result<ElementState>`: returns absent, live or removed, and the stamp. An
///   Interaction may concern no element; then `find` is called with the empty id, which is absent.
/// - `read(key) -> Result<std::optional<value_type>>`: returns the value of a live element.
/// - `add(key, value, mark)`: makes the element live with this value and stamp; it may be in any
///   state before.
/// - `update(key, value, mark)`: does the same for a live element only.
/// - `remove(key, mark)`: makes the element removed as of this stamp; it may be in any state
///   before, also absent, or removed with this very stamp. In each case the removal is a new change
///   for `changes_since`.
/// - `remember(mark)`: records that an operation was decided, and changed nothing.
/// - `applied(operation) -> Result<std::optional<AppliedMark>>`: returns the hash and the decision
///   that any of the four calls above stored with this id. The store chooses how many of the latest
///   operations it remembers (more than a client sends again). It returns nothing for older ones.
/// - `expire(now)`: may forget tombstones that are older than the time for which the store keeps
///   them. No other call forgets one. So a removal with a stamp older than the horizon stays until
///   the next expire.
/// - `horizon() const noexcept -> WallTime`: the store has forgotten no tombstone of this moment or
///   later. The horizon never goes back. An operation older than it is rejected, because it cannot
///   be decided.
/// - optional: `transaction(body)`: calls `body()` once, which returns a std::error_code, and
///   returns that code. If it is no error, the store keeps everything that `body` did to the store;
///   otherwise nothing. If `body` throws, the store keeps nothing, and the exception leaves the
///   call.
/// - optional: `prefetch(key, operation) noexcept`: a hint that calls with this key and this id
///   follow soon; changes nothing.
/// - optional: `changes_since(session, since, most) -> Result<ChangesPage<value_type>>`: returns
///   the next changes of a session after the cursor `since`, at most `most` of them (above 0, and
///   maybe the largest number). Each element is listed once with its present version, removals
///   included. A value that it cannot read is an error of its element alone. The page begins a copy
///   of everything if `since` is a cursor of another store or ahead of this one. It does so, too,
///   if the store has forgotten a removal after `since`.
/// - optional: `for_each(session, visit)`: calls `visit(id, value, stamp)` for each live element of
///   a session, once. It returns nothing, or a std::error_code. A `for_each` of another form is not
///   called. The local store of a Replica needs it.
/// - optional: `replaced(operation) -> Result<std::optional<ReplacedVersion<value_type>>>`: returns
///   the version in whose place add, update or remove put its own with this id, if the decision of
///   the mark `overwrites`. The store chooses how many of the latest it remembers, and returns
///   nothing for others. With it, an operation that is sent again reports again what it replaced
///   unseen.
/// - optional: `note(name) -> Result<Bytes>` and `set_note(name, bytes) -> std::error_code`:
///   `note` returns the bytes of the last `set_note` with this name (any bytes), and none if there
///   was none. A note is no element, and setting it is no change. Members of another form are not
///   called. The local store of a Replica needs both, for one note of each session, and at most one
///   of each element. It sets them in the transaction that writes the elements.
///
/// Each call happens as a whole, effect and mark, or not at all, also when it fails. An error code
/// gives the reason; see SyncErrc. A result that a call has returned survives everything that the
/// store survives.
template <class S>
concept StoreLike =
    detail::HasOperationType<S> && detail::HasFind<S> && detail::HasRead<S> && detail::HasAdd<S> &&
    detail::HasUpdate<S> && detail::HasRemove<S> && detail::HasRemember<S> &&
    detail::HasApplied<S> && detail::HasExpire<S> && detail::HasHorizon<S> &&
    detail::TransactionIsRight<S> && detail::PrefetchIsRight<S> && detail::ChangesSinceIsRight<S> &&
    detail::ReplacedIsRight<S>;

namespace explain {

/// Names every requirement of StoreLike that S lacks.
template <class S>
consteval bool store_like() {
    static_assert(detail::HasOperationType<S>,
                  "StoreLike: S needs an operation_type that is OperationLike; see "
                  "docs/how-to/store-of-elements.md");
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
                  "StoreLike: S needs 'belay::Result<std::optional<belay::part::AppliedMark>> "
                  "applied(const belay::Id&)'");
    static_assert(detail::HasExpire<S>,
                  "StoreLike: S needs 'std::error_code expire(belay::WallTime)'");
    static_assert(detail::HasHorizon<S>,
                  "StoreLike: S needs 'belay::WallTime horizon() const noexcept'");
    static_assert(detail::TransactionIsRight<S>,
                  "StoreLike: S's transaction must be 'std::error_code transaction(auto& body)'");
    static_assert(detail::PrefetchIsRight<S>,
                  "StoreLike: S's prefetch must be 'void prefetch(const belay::part::ElementKey&, "
                  "const belay::Id&) noexcept'");
    static_assert(
        detail::ChangesSinceIsRight<S>,
        "StoreLike: S's changes_since must be 'belay::Result<belay::part::ChangesPage<value>> "
        "changes_since(std::string_view, const belay::part::StoreCursor&, std::size_t)'");
    static_assert(detail::ReplacedIsRight<S>,
                  "StoreLike: S's replaced must be 'belay::Result<std::optional<belay::part::"
                  "ReplacedVersion<value>>> replaced(const belay::Id&)'");
    return StoreLike<S>;
}

}  // namespace explain

namespace detail {

// Stands for a store that cannot be made of the argument. The constructor that calls it does not
// compile.
template <class Store>
[[noreturn]] Store no_store() noexcept {
    std::terminate();
}

}  // namespace detail

}}  // namespace belay
