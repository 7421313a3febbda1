// SPDX-License-Identifier: MIT
/// \file belay/sync/memory_store.hpp
/// MemoryStore: keeps the elements of sessions in memory.
#pragma once

#include <algorithm>      // std::max, std::pop_heap, std::push_heap
#include <functional>     // std::equal_to, std::less
#include <map>            // std::map
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <type_traits>    // std::is_nothrow_copy_assignable_v, std::is_same_v
#include <unordered_map>  // std::unordered_map
#include <utility>        // std::move
#include <vector>         // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/random.hpp>
#include <belay/sync/detail/memory_tables.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of a MemoryStore.
struct MemoryStoreOptions {
    /// The number of latest operations that the store recognises by their id; below 2^31. If an
    /// older operation comes again, its stamp decides. An operation that was stamped anew counts as
    /// two.
    std::size_t ids_remembered = 100'000;
    /// The number of replaced versions that the store remembers, those of the latest operations. If
    /// an older operation comes again, `SyncResult::overwrote` does not list it again.
    std::size_t replaced_remembered = 10'000;
    /// How long the store remembers that an element was removed. It rejects operations that are
    /// older than that. `forever` keeps all tombstones.
    Duration tombstones_kept = std::chrono::hours{24 * 30};
    /// The most elements of all sessions together, removed ones included; at most 2^32 - 2.
    std::size_t elements_max = 100'000'000;
    /// The id in the cursors of `changes_since`; no_id: a random one. Two stores must not have the
    /// same id.
    Id id{};
    /// The epoch in these cursors; see part::StoreCursor. A store that gets its former `id`, and is
    /// filled from a backup, needs another one.
    std::uint32_t epoch = 1;
};

/// Keeps elements by session and id in hash tables.
///
/// An element takes 108 to 132 bytes and its value. It takes more if the id (above 15 characters)
/// or the value allocates memory. A remembered id takes 40 to 56 bytes, and a replaced version its
/// value, too.
///
/// Models:        StoreLike, with changes_since, replaced and notes.
/// Thread safety: distinct objects safe.
/// Complexity:    each call is constant on average, apart from the length of the ids; `expire` is
///                logarithmic for each tombstone that it removes.
/// Throws:        std::bad_alloc; nothing has changed then.
template <class Value, class Op = Operation<Value>>
class MemoryStore {
public:
    using operation_type = Op;
    static_assert(explain::operation_like<Op>());
    static_assert(std::same_as<Value, typename Op::value_type>,
                  "MemoryStore: the operation must have the value_type of the store");
    static_assert(std::is_nothrow_move_constructible_v<Value> &&
                      std::is_nothrow_move_assignable_v<Value>,
                  "MemoryStore: values must move without throwing");

    MemoryStore() : MemoryStore{MemoryStoreOptions{}} {}
    explicit MemoryStore(MemoryStoreOptions options)
        : options_{options},
          ids_{options.ids_remembered},
          overwritten_{options.replaced_remembered},
          id_{options.id} {
        if (id_ == no_id) {
            Random bits;
            id_ = make_id(bits);
        }
        BELAY_OPTION(options.tombstones_kept >= Duration{},
                     "MemoryStore: tombstones_kept must be >= 0ns");
        BELAY_OPTION(options.elements_max > 0 && options.elements_max <= Elements::most,
                     "MemoryStore: elements_max must be from 1 to 2^32 - 2");
    }

    [[nodiscard]] Result<part::ElementState> find(const part::ElementKey& key) {
        const Node* const node = place_of(key).node;
        if (node == nullptr) return part::ElementState{};
        const Entry& entry = node->row;
        return part::ElementState{entry.value ? part::Presence::live : part::Presence::removed,
                                  entry.stamp};
    }
    [[nodiscard]] Result<std::optional<Value>> read(const part::ElementKey& key) {
        const Node* const node = place_of(key).node;
        return node != nullptr ? node->row.value : std::nullopt;
    }

    [[nodiscard]] std::error_code add(const part::ElementKey& key, const Value& value,
                                      const part::WriteMark& mark) {
        return write(key, place_of(key), &value, mark);
    }
    [[nodiscard]] std::error_code update(const part::ElementKey& key, const Value& value,
                                         const part::WriteMark& mark) {
        const Place at = place_of(key);
        if (at.node == nullptr || !at.node->row.value) return SyncErrc::store_disagrees;
        return write(key, at, &value, mark);
    }
    [[nodiscard]] std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return write(key, place_of(key), nullptr, mark);
    }
    [[nodiscard]] std::error_code remember(const part::WriteMark& mark) {
        ids_.prepare();
        remember_id(mark);
        return {};
    }
    [[nodiscard]] Result<std::optional<part::AppliedMark>> applied(
        const Id& operation) const noexcept {
        return ids_.find(operation);
    }
    /// Returns the version that an operation replaced unseen; see StoreLike.
    [[nodiscard]] Result<std::optional<part::ReplacedVersion<Value>>> replaced(
        const Id& operation) const {
        return overwritten_.find(operation);
    }

    [[nodiscard]] Result<Bytes> note(std::string_view name) const {
        const auto at = notes_.find(name);
        return at != notes_.end() ? at->second : Bytes{};
    }
    [[nodiscard]] std::error_code set_note(std::string_view name, BytesView bytes) {
        notes_.insert_or_assign(std::string{name}, Bytes{bytes.begin(), bytes.end()});
        return {};
    }

    /// Loads the places of an element and an operation into the caches; see StoreLike.
    void prefetch(const part::ElementKey& key, const Id& operation) const noexcept {
        ids_.fetch(operation);
        if (found_.session != nullptr && detail::names_equal(found_.session->first, key.session)) {
            found_.session->second.elements.fetch(key.id);
        }
    }
    [[nodiscard]] std::error_code expire(WallTime now) {
        const WallTime until = detail::earlier(now, options_.tombstones_kept);
        if (options_.tombstones_kept == forever || until <= horizon_) return {};
        horizon_ = until;
        while (!tombstones_.empty() && tombstones_.front().stamp.wall < horizon_)
            drop_oldest_tombstone();
        return {};
    }
    [[nodiscard]] WallTime horizon() const noexcept { return horizon_; }

    /// Calls `visit(id, value, stamp)` for each live element of a session, in no order.
    ///
    /// Pre: `visit` does not change the store, also not by a SyncProcessor over it.
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) const {
        const auto at = sessions_.find(session);
        if (at == sessions_.end()) return;
        at->second.elements.for_each([&](const Node& node) {
            const Entry& entry = node.row;
            if (entry.value) visit(std::string_view{node.name}, *entry.value, entry.stamp);
        });
    }
    /// Returns the changes of a session after a cursor; see StoreLike.
    ///
    /// Pre: most > 0.   Errors: none.
    /// Complexity: logarithmic in the elements of the session, and linear in the page. It reads no
    ///             element if nothing has changed.
    [[nodiscard]] Result<part::ChangesPage<Value>> changes_since(std::string_view session,
                                                                 const part::StoreCursor& since,
                                                                 std::size_t most) const {
        BELAY_PRECONDITION(most > 0, "MemoryStore::changes_since: most must be above 0");
        const auto at = sessions_.find(session);
        part::ChangesPage<Value> page;
        page.next = since;
        const bool known_epoch =
            since.epoch == 0 || since.seen == 0 || since.epoch == options_.epoch;
        const bool follows =
            since.store == id_ && std::max(since.changes, since.seen) <= changes_ && known_epoch;
        page.other_history = !follows && since.store != no_id;
        page.begins_copy = !follows || std::max(since.changes, since.copied_at) < forgotten_;
        if (page.begins_copy) page.next = {id_, 0, changes_, 0, 0};
        if (at != sessions_.end() && page.next.changes < changes_) {
            page.more = at->second.changes.read(at->second.elements, page, most);
        }
        if (!page.more) page.next.changes = changes_;
        page.next.seen = changes_;
        page.next.epoch = changes_ != 0 ? options_.epoch : 0;
        return page;
    }
    /// Returns the number of elements, removed ones included.
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

private:
    struct Entry {
        Stamp stamp{};
        std::optional<Value> value{};
        std::uint64_t change : 63 = 0;        // the number of the last change; 0: none
        std::uint64_t has_tombstone : 1 = 0;  // one of tombstones_ refers to it: it must not move
    };
    using Elements = detail::ElementTable<Entry>;
    using Node = typename Elements::Node;
    struct Session {
        Elements elements{};
        detail::ChangeLog changes{};
    };
    using Sessions = std::unordered_map<std::string, Session, detail::TextHash, std::equal_to<>>;
    using Home = typename Sessions::value_type;
    struct Place {
        Home* session = nullptr;
        Node* node = nullptr;
    };
    struct Tombstone {
        Stamp stamp;
        Home* session;
        Node* node;
        // The heap has the oldest tombstone in front.
        friend bool operator<(const Tombstone& a, const Tombstone& b) noexcept {
            return b.stamp < a.stamp;
        }
    };
    /// The last session and element that were found: a batch looks an element up, and then changes
    /// it. A copy and a moved-from object have none.
    struct Found : Place {
        Found() noexcept = default;
        Found(Found&& other) noexcept { other.forget(); }
        Found& operator=(Found&& other) noexcept {
            forget();
            other.forget();
            return *this;
        }
        void forget() noexcept { static_cast<Place&>(*this) = {}; }
    };

    /// Returns where an element is, with null for what is not there.
    [[nodiscard]] Place place_of(const part::ElementKey& key) {
        if (found_.session == nullptr || !detail::names_equal(found_.session->first, key.session)) {
            const auto at = sessions_.find(key.session);
            if (at == sessions_.end()) return {};
            found_.session = &*at;
            found_.node = nullptr;
        }
        if (found_.node == nullptr || !detail::names_equal(found_.node->name, key.id)) {
            Node* const node = found_.session->second.elements.find(key.id);
            if (node == nullptr) return {found_.session, nullptr};
            found_.node = node;
        }
        return {found_.session, found_.node};
    }

    /// Writes a value or a tombstone at the place where the element is, or will be.
    std::error_code write(const part::ElementKey& key, Place at, const Value* value,
                          const part::WriteMark& mark) {
        if (at.node == nullptr && count_ >= options_.elements_max) {
            return SyncErrc::store_full;
        }
        // Everything that may throw comes first.
        ids_.prepare();
        if (at.session != nullptr) at.session->second.changes.prepare(at.session->second.elements);
        if (value == nullptr && tombstones_.size() == tombstones_.capacity()) {
            tombstones_.reserve(2 * tombstones_.size() + 16);
        }
        typename detail::OverwrittenVersions<Value>::Prepared overwritten;
        if (at.node != nullptr && part::overwrites(mark.decision)) {
            const Entry& was = at.node->row;
            overwritten = overwritten_.prepare(mark.operation, was.stamp, was.value);
        }
        if (at.node == nullptr || !assign(at.node->row.value, value)) {
            std::optional<Value> made;
            if (value != nullptr) made.emplace(*value);
            if (at.session == nullptr) {
                at.session = &*sessions_.try_emplace(std::string{key.session}).first;
                at.session->second.changes.prepare(at.session->second.elements);
            }
            if (at.node == nullptr) {
                at.node = &at.session->second.elements.insert(key.id);
                ++count_;
            }
            at.node->row.value = std::move(made);
        }
        Entry& entry = at.node->row;
        entry.stamp = mark.stamp;
        entry.change = ++changes_ & (~std::uint64_t{0} >> 1U);
        at.session->second.changes.add(changes_, at.node->at);
        if (!entry.value && entry.has_tombstone == 0)
            add_tombstone(Tombstone{mark.stamp, at.session, at.node});
        if (part::overwrites(mark.decision)) overwritten_.add(std::move(overwritten));
        remember_id(mark);
        return {};
    }
    /// Assigns the value in place, if that reuses memory and leaves the old value intact on
    /// failure.
    [[nodiscard]] static bool assign(std::optional<Value>& to, const Value* value) {
        constexpr bool whole_or_not =
            std::is_nothrow_copy_assignable_v<Value> || std::is_same_v<Value, std::string>;
        if constexpr (whole_or_not) {
            if (to && value != nullptr) return *to = *value, true;
        }
        return false;
    }
    void remember_id(const part::WriteMark& mark) noexcept {
        if (mark.operation != no_id) ids_.insert(mark.operation, {mark.hash, mark.decision});
    }

    /// Pre: tombstones_ has capacity for one more.
    void add_tombstone(const Tombstone& tombstone) noexcept {
        tombstone.node->row.has_tombstone = 1;
        tombstones_.push_back(tombstone);
        std::push_heap(tombstones_.begin(), tombstones_.end());
    }
    void drop_oldest_tombstone() {
        std::pop_heap(tombstones_.begin(), tombstones_.end());
        Tombstone tombstone = tombstones_.back();
        tombstones_.pop_back();
        Entry& entry = tombstone.node->row;
        entry.has_tombstone = 0;
        if (entry.value) return;
        if (entry.stamp.wall >= horizon_) {
            tombstone.stamp = entry.stamp;
            return add_tombstone(tombstone);
        }
        found_.forget();
        forgotten_ = std::max(forgotten_, std::uint64_t{entry.change});
        tombstone.session->second.elements.erase(*tombstone.node);
        --count_;
        // The next element creates the session again; otherwise sessions would only accumulate.
        if (tombstone.session->second.elements.empty()) {
            sessions_.erase(sessions_.find(tombstone.session->first));
        }
    }

    MemoryStoreOptions options_;
    Sessions sessions_;
    detail::AppliedIds ids_;
    detail::OverwrittenVersions<Value> overwritten_;
    std::vector<Tombstone> tombstones_;
    std::map<std::string, Bytes, std::less<>> notes_;
    WallTime horizon_ = WallTime::min();
    std::size_t count_ = 0;
    Found found_;
    Id id_;
    std::uint64_t changes_ = 0;    // the number of the last change
    std::uint64_t forgotten_ = 0;  // that of the last removal that is forgotten
};

}}  // namespace belay
