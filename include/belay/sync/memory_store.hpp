// SPDX-License-Identifier: MIT
/// \file belay/sync/memory_store.hpp
/// MemoryStore: keeps the elements of sessions in memory.
#pragma once

#include <algorithm>      // std::min, std::push_heap, std::pop_heap
#include <functional>     // std::hash
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <type_traits>    // std::is_nothrow_copy_assignable_v, std::is_same_v
#include <unordered_map>  // std::unordered_map
#include <utility>        // std::move
#include <vector>         // std::vector

#include <belay/core/assert.hpp>
#include <belay/sync/detail/applied_ids.hpp>
#include <belay/sync/detail/element_table.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of a MemoryStore.
struct MemoryStoreOptions {
    /// The number of latest operations that the store recognises by their id; below 2^31. If an
    /// older operation comes again, its stamp decides.
    std::size_t ids_remembered = 100'000;
    /// How long the store remembers that an element was removed. It refuses operations that are
    /// older than that. `forever` keeps all tombstones.
    Duration tombstones_kept = std::chrono::hours{24 * 30};
    /// The most elements of all sessions together, removed ones included; at most 2^32 - 2.
    std::size_t elements_max = 100'000'000;
    /// Whether the first element of a session creates the session; if not, `create` does.
    bool creates_sessions = true;
};

/// Keeps elements by session and id in hash tables.
///
/// An element takes 104 to 120 bytes and its value. It takes more if the id (above 15 characters)
/// or the value allocates memory. A remembered id takes 40 to 56 bytes.
///
/// Models:        StoreLike.
/// Thread safety: distinct objects safe.
/// Complexity:    each call is constant on average, apart from the length of the ids; `expire` is
///                logarithmic for each tombstone that it removes.
/// Throws:        std::bad_alloc; nothing has changed then.
template <class Value, OperationLike Op = Operation<Value>>
class MemoryStore {
public:
    using operation_type = Op;
    static_assert(std::same_as<Value, typename Op::value_type>,
                  "MemoryStore: the operation must have the value_type of the store");
    static_assert(std::is_nothrow_move_constructible_v<Value> &&
                      std::is_nothrow_move_assignable_v<Value>,
                  "MemoryStore: values must move without throwing");

    explicit MemoryStore(MemoryStoreOptions options = {})
        : options_{options}, ids_{options.ids_remembered} {
        BELAY_PRECONDITION(options.tombstones_kept >= Duration{},
                           "MemoryStore: tombstones_kept must be >= 0ns");
    }

    /// Creates a session without elements, if it does not exist.
    void create(std::string_view session) {
        const View name{session};
        if (sessions_.find(name) == sessions_.end()) sessions_.try_emplace(Name{name});
    }

    [[nodiscard]] Result<part::ElementState> find(const part::ElementKey& key) {
        Home* const session = session_of(key.session);
        if (session == nullptr) {
            if (!options_.creates_sessions) return SyncErrc::unknown_session;
            return part::ElementState{};
        }
        const Node* const node = node_of(session->second, key.id);
        if (node == nullptr) return part::ElementState{};
        const Entry& entry = node->row;
        return part::ElementState{entry.value ? part::Presence::live : part::Presence::removed,
                                  entry.stamp};
    }
    [[nodiscard]] Result<std::optional<Value>> read(const part::ElementKey& key) {
        Home* const session = session_of(key.session);
        if (session == nullptr) {
            if (!options_.creates_sessions) return SyncErrc::unknown_session;
            return std::optional<Value>{};
        }
        const Node* const node = node_of(session->second, key.id);
        return node != nullptr ? node->row.value : std::nullopt;
    }

    [[nodiscard]] std::error_code add(const part::ElementKey& key, const Value& value,
                                      const part::WriteMark& mark) {
        Home* const session = session_of(key.session);
        Node* const node = session != nullptr ? node_of(session->second, key.id) : nullptr;
        return write(key, {session, node}, &value, mark);
    }
    [[nodiscard]] std::error_code update(const part::ElementKey& key, const Value& value,
                                         const part::WriteMark& mark) {
        Home* const session = session_of(key.session);
        if (session == nullptr && !options_.creates_sessions) return SyncErrc::unknown_session;
        Node* const node = session != nullptr ? node_of(session->second, key.id) : nullptr;
        if (node == nullptr || !node->row.value) return SyncErrc::store_disagrees;
        return write(key, {session, node}, &value, mark);
    }
    [[nodiscard]] std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        Home* const session = session_of(key.session);
        Node* const node = session != nullptr ? node_of(session->second, key.id) : nullptr;
        return write(key, {session, node}, nullptr, mark);
    }
    [[nodiscard]] std::error_code remember(const part::WriteMark& mark) {
        ids_.prepare();
        note(mark);
        return {};
    }
    [[nodiscard]] Result<std::optional<part::AppliedMark>> applied(
        const Id& operation) const noexcept {
        return ids_.find(operation);
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
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) const {
        const auto at = sessions_.find(View{session});
        if (at == sessions_.end()) return;
        at->second.for_each([&](const Node& node) {
            const Entry& entry = node.row;
            if (entry.value) visit(std::string_view{node.name}, *entry.value, entry.stamp);
        });
    }
    /// Returns the number of elements, removed ones included.
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

private:
    struct Entry {
        Stamp stamp{};
        std::optional<Value> value{};
        bool has_tombstone = false;  // one of tombstones_ refers to it, so it must not move
    };
    /// A name with its hash, because tables that do not store hashes compute them again and again.
    struct View {
        explicit View(std::string_view name) noexcept
            : text{name}, hash{std::hash<std::string_view>{}(name)} {}
        std::string_view text;
        std::size_t hash;
    };
    struct Name {
        explicit Name(const View& view) : text{view.text}, hash{view.hash} {}
        std::string text;
        std::size_t hash;
    };
    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(const auto& name) const noexcept { return name.hash; }
    };
    struct SameName {
        using is_transparent = void;
        bool operator()(const auto& a, const auto& b) const noexcept {
            return a.hash == b.hash && a.text == b.text;
        }
    };
    template <class T>
    using Table = std::unordered_map<Name, T, NameHash, SameName>;
    using Session = detail::ElementTable<Entry>;
    using Node = typename Session::Node;
    using Home = typename Table<Session>::value_type;
    struct Place {
        Home* session;
        Node* node;
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
    struct Found {
        Found() noexcept = default;
        Found(Found&& other) noexcept { other.forget(); }
        Found& operator=(Found&& other) noexcept {
            forget();
            other.forget();
            return *this;
        }
        void forget() noexcept { session = nullptr, of = nullptr, node = nullptr; }

        Home* session = nullptr;
        const Session* of = nullptr;
        Node* node = nullptr;
    };

    [[nodiscard]] Home* session_of(std::string_view name) {
        if (found_.session == nullptr || found_.session->first.text != name) {
            const auto at = sessions_.find(View{name});
            if (at == sessions_.end()) return nullptr;
            found_.session = &*at;
        }
        return found_.session;
    }
    [[nodiscard]] Node* node_of(Session& session, std::string_view id) {
        if (found_.of != &session || found_.node == nullptr || found_.node->name != id) {
            Node* const node = session.find(id);
            if (node == nullptr) return nullptr;
            found_.of = &session;
            found_.node = node;
        }
        return found_.node;
    }

    /// Writes a value or a tombstone at the place where the element is, or will be.
    std::error_code write(const part::ElementKey& key, Place at, const Value* value,
                          const part::WriteMark& mark) {
        if (at.session == nullptr && !options_.creates_sessions) return SyncErrc::unknown_session;
        if (at.node == nullptr && count_ >= std::min(options_.elements_max, Session::most)) {
            return SyncErrc::store_full;
        }
        // Everything that may throw comes first.
        ids_.prepare();
        if (value == nullptr && tombstones_.size() == tombstones_.capacity()) {
            tombstones_.reserve(2 * tombstones_.size() + 16);
        }
        if (at.node == nullptr || !assign(at.node->row.value, value)) {
            std::optional<Value> made;
            if (value != nullptr) made.emplace(*value);
            if (at.session == nullptr) {
                at.session = &*sessions_.try_emplace(Name{View{key.session}}).first;
            }
            if (at.node == nullptr) {
                at.node = &at.session->second.insert(key.id);
                ++count_;
            }
            at.node->row.value = std::move(made);
        }
        Entry& entry = at.node->row;
        entry.stamp = mark.stamp;
        if (!entry.value && !entry.has_tombstone)
            add_tombstone(Tombstone{mark.stamp, at.session, at.node});
        note(mark);
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
    void note(const part::WriteMark& mark) noexcept {
        ids_.insert(mark.operation, {mark.hash, mark.decision});
    }

    /// Pre: tombstones_ has capacity for one more.
    void add_tombstone(const Tombstone& tombstone) noexcept {
        tombstone.node->row.has_tombstone = true;
        tombstones_.push_back(tombstone);
        std::push_heap(tombstones_.begin(), tombstones_.end());
    }
    void drop_oldest_tombstone() {
        std::pop_heap(tombstones_.begin(), tombstones_.end());
        Tombstone tombstone = tombstones_.back();
        tombstones_.pop_back();
        Entry& entry = tombstone.node->row;
        entry.has_tombstone = false;
        if (entry.value) return;
        if (entry.stamp.wall >= horizon_) {
            tombstone.stamp = entry.stamp;
            return add_tombstone(tombstone);
        }
        found_.forget();
        tombstone.session->second.erase(*tombstone.node);
        --count_;
        // The next element creates the session again; otherwise sessions would only accumulate.
        if (tombstone.session->second.empty() && options_.creates_sessions) {
            sessions_.erase(sessions_.find(tombstone.session->first));
        }
    }

    MemoryStoreOptions options_;
    Table<Session> sessions_;
    detail::AppliedIds ids_;
    std::vector<Tombstone> tombstones_;
    WallTime horizon_ = WallTime::min();
    std::size_t count_ = 0;
    Found found_;
};

}}  // namespace belay
